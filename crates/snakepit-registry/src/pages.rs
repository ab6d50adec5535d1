//! Reads the file of an LMDB environment without LMDB.
//!
//! LMDB trusts its file: a damaged page makes it read outside of the map, and the process dies of
//! SIGSEGV or SIGBUS. The files of other runs may be damaged, truncated or still being written, so
//! they are never opened with LMDB. This reader checks every offset; the worst result is an error.
//!
//! The file is untrusted: an attacker may craft a small file that causes much work. Each page is
//! read at most once, and the nodes of a page may not take more space than the page has, so work
//! and memory are bounded by the length of the file.

use std::collections::HashSet;
use std::io;
use std::os::unix::fs::FileExt;

const MAGIC: u32 = 0xBEEF_C0DE;
const DATA_VERSION: u32 = 1;
const PAGE_HEADER: usize = 16;
const NODE_HEADER: usize = 8;
const BRANCH: u16 = 0x01;
const LEAF: u16 = 0x02;
const OVERFLOW: u16 = 0x04;
const META: u16 = 0x08;
const BIG_DATA: u16 = 0x01;
const NO_ROOT: u64 = u64::MAX;
/// Largest height of a tree. A tree of this height holds more rows than any file that fits in
/// memory.
const MAX_DEPTH: usize = 32;
/// Largest size of a file in bytes. A run of 10⁵ workers needs less than 100 MB.
pub(crate) const MAX_FILE: u64 = 1 << 30;
/// Largest size of a value in bytes. A record has less than 1 KiB, and two paths of the longest
/// kind fit.
const MAX_VALUE: usize = 64 << 10;
/// Bytes at the start of a file that contain both meta pages, for every page size.
const METAS: u64 = 2 << 16;

/// The reason a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PagesError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("its data format is {0}")]
    Version(u32),
    #[error("{0}")]
    Damaged(&'static str),
}

type Result<T> = std::result::Result<T, PagesError>;

const fn damaged<T>(what: &'static str) -> Result<T> {
    Err(PagesError::Damaged(what))
}

/// Visits the rows of the main database in key order. `length` is the length of the file; an empty
/// file is a database that was never written to.
pub(crate) fn read<E: From<PagesError>>(
    file: &impl FileExt,
    length: u64,
    mut row: impl FnMut(&[u8], &[u8]) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    if length > MAX_FILE {
        return Err(PagesError::Damaged("the file is larger than any registry").into());
    }
    if length == 0 {
        return Ok(());
    }
    let (page_size, meta) = Meta::newest(&at(file, 0, length.min(METAS))?)?;
    let mut walk = Walk {
        file,
        length,
        page_size,
        last_page: meta.last_page,
        seen: HashSet::new(),
        rows: 0,
        row: &mut row,
    };
    if meta.root != NO_ROOT {
        walk.page(meta.root, 0)?;
    }
    if walk.rows != meta.entries {
        return Err(PagesError::Damaged("the number of rows is not the recorded one").into());
    }
    Ok(())
}

/// Reads a part of the file.
fn at(file: &impl FileExt, start: u64, length: u64) -> Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    match file.read_exact_at(&mut bytes, start) {
        // The file was truncated after its length was read.
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => damaged("it ends too early"),
        Err(e) => Err(e.into()),
        Ok(()) => Ok(bytes),
    }
}

fn u16_at(data: &[u8], at: usize) -> Result<u16> {
    match data.get(at..).and_then(|rest| rest.first_chunk()) {
        Some(bytes) => Ok(u16::from_ne_bytes(*bytes)),
        None => damaged("it ends too early"),
    }
}

fn u32_at(data: &[u8], at: usize) -> Result<u32> {
    match data.get(at..).and_then(|rest| rest.first_chunk()) {
        Some(bytes) => Ok(u32::from_ne_bytes(*bytes)),
        None => damaged("it ends too early"),
    }
}

fn u64_at(data: &[u8], at: usize) -> Result<u64> {
    match data.get(at..).and_then(|rest| rest.first_chunk()) {
        Some(bytes) => Ok(u64::from_ne_bytes(*bytes)),
        None => damaged("it ends too early"),
    }
}

/// The fields of a meta page: magic, version, address, map size, two trees of 48 bytes (free
/// pages, main), last page, transaction.
struct Meta {
    page_size: usize,
    root: u64,
    entries: u64,
    last_page: u64,
    txn: u64,
}

impl Meta {
    /// Returns the size of a page, and the newer one of the two meta pages.
    fn newest(data: &[u8]) -> Result<(usize, Self)> {
        let first = Self::parse(data, 0)?;
        let page_size = first.page_size;
        let second = Self::parse(data, page_size)?;
        let newer = second.txn > first.txn && second.page_size == page_size;
        Ok((page_size, if newer { second } else { first }))
    }

    fn parse(data: &[u8], page_at: usize) -> Result<Self> {
        if u16_at(data, page_at + 10)? & META == 0 {
            return damaged("a meta page is missing");
        }
        let at = page_at + PAGE_HEADER;
        if u32_at(data, at)? != MAGIC {
            return damaged("it is not an LMDB file");
        }
        let version = u32_at(data, at + 4)?;
        if version != DATA_VERSION {
            return Err(PagesError::Version(version));
        }
        let page_size = u32_at(data, at + 24)? as usize;
        if !page_size.is_power_of_two() || !(512..=65536).contains(&page_size) {
            return damaged("its page size is impossible");
        }
        let main = at + 24 + 48;
        Ok(Self {
            page_size,
            entries: u64_at(data, main + 32)?,
            root: u64_at(data, main + 40)?,
            last_page: u64_at(data, at + 120)?,
            txn: u64_at(data, at + 128)?,
        })
    }
}

struct Walk<'a, T, F> {
    file: &'a T,
    length: u64,
    page_size: usize,
    last_page: u64,
    /// The pages that were read. Each page of a tree belongs to one node only.
    seen: HashSet<u64>,
    rows: u64,
    row: &'a mut F,
}

impl<T: FileExt, F> Walk<'_, T, F> {
    /// Reads `count` pages, beginning with page `number`.
    fn bytes(&mut self, number: u64, count: u64) -> Result<Vec<u8>> {
        let size = self.page_size as u64;
        let range = || {
            let start = number.checked_mul(size)?;
            let length = count.checked_mul(size)?;
            (start.checked_add(length)? <= self.length).then_some((start, length))
        };
        let Some((start, length)) = range().filter(|_| (2..=self.last_page).contains(&number))
        else {
            return damaged("a page lies outside of the file");
        };
        if !(number..number + count).all(|page| self.seen.insert(page)) {
            return damaged("a page belongs to two nodes");
        }
        at(self.file, start, length)
    }

    fn page<E: From<PagesError>>(&mut self, number: u64, depth: usize) -> std::result::Result<(), E>
    where
        F: FnMut(&[u8], &[u8]) -> std::result::Result<(), E>,
    {
        if depth >= MAX_DEPTH {
            return Err(PagesError::Damaged("its tree is not a tree").into());
        }
        let page = self.bytes(number, 1)?;
        if u64_at(&page, 0)? != number {
            return Err(PagesError::Damaged("a page has the wrong number").into());
        }
        let flags = u16_at(&page, 10)?;
        let lower = usize::from(u16_at(&page, 12)?);
        if lower < PAGE_HEADER || lower > self.page_size || flags & (BRANCH | LEAF) == 0 {
            return Err(PagesError::Damaged("a page header is impossible").into());
        }
        // Every node has bytes of its own, after the list of their offsets.
        let mut room = self.page_size - lower;
        for at in (PAGE_HEADER..lower - 1).step_by(2) {
            let node = page
                .get(usize::from(u16_at(&page, at)?)..)
                .unwrap_or_default();
            let taken = if flags & BRANCH != 0 {
                let top = u64::from(u16_at(node, 4)?);
                self.page(u64::from(u32_at(node, 0)?) | top << 32, depth + 1)?;
                NODE_HEADER + usize::from(u16_at(node, 6)?)
            } else {
                self.leaf(node)?
            };
            room = match room.checked_sub(taken) {
                Some(room) => room,
                None => return Err(PagesError::Damaged("two nodes share their bytes").into()),
            };
        }
        Ok(())
    }

    /// Visits a row. Returns the number of bytes that it takes in its page.
    fn leaf<E: From<PagesError>>(&mut self, node: &[u8]) -> std::result::Result<usize, E>
    where
        F: FnMut(&[u8], &[u8]) -> std::result::Result<(), E>,
    {
        let size = u32_at(node, 0)? as usize;
        let flags = u16_at(node, 4)?;
        let key_end = NODE_HEADER + usize::from(u16_at(node, 6)?);
        let Some(key) = node.get(NODE_HEADER..key_end) else {
            return Err(PagesError::Damaged("a key lies outside of its page").into());
        };
        if size > MAX_VALUE {
            return Err(PagesError::Damaged("a value is larger than any record").into());
        }
        let far;
        let (value, taken) = match flags {
            0 => (node.get(key_end..key_end + size), key_end + size),
            BIG_DATA => {
                let number = u64_at(node, key_end)?;
                let pages = (size + PAGE_HEADER).div_ceil(self.page_size);
                far = self.bytes(number, pages as u64)?;
                if u16_at(&far, 10)? & OVERFLOW == 0 {
                    return Err(PagesError::Damaged("a page header is impossible").into());
                }
                (far.get(PAGE_HEADER..PAGE_HEADER + size), key_end + 8)
            }
            _ => return Err(PagesError::Damaged("a row has an unknown kind").into()),
        };
        let Some(value) = value else {
            return Err(PagesError::Damaged("a value lies outside of its page").into());
        };
        self.rows += 1;
        (self.row)(key, value)?;
        Ok(taken)
    }
}
