//! Reads the file of an LMDB environment without LMDB.
//!
//! LMDB trusts its file: a damaged page makes it read outside of the map and the process dies of
//! SIGSEGV or SIGBUS. The files of other runs may be damaged, truncated or still written to, so
//! they are never opened with LMDB. This reader copies the file and checks every offset; the
//! worst that it answers is an error.

use std::io;
use std::path::Path;

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
/// A tree of this height holds more rows than any file that fits in memory.
const MAX_DEPTH: usize = 32;
/// A run of 10⁵ workers needs less than 100 MB.
const MAX_FILE: u64 = 1 << 30;

/// Why a file cannot be read.
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

/// The rows of the main database, in key order.
pub(crate) fn read(path: &Path) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    if std::fs::metadata(path)?.len() > MAX_FILE {
        return damaged("the file is larger than any registry");
    }
    let data = std::fs::read(path)?;
    rows(&data)
}

/// The rows in the bytes of a file. An empty file is a database that was never written to.
pub(crate) fn rows(data: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    if data.is_empty() {
        return Ok(Vec::new());
    }
    let first = Meta::parse(data, 0)?;
    let page_size = first.page_size;
    let meta = match Meta::parse(data, page_size) {
        Ok(second) if second.txn > first.txn && second.page_size == page_size => second,
        Ok(_) => first,
        Err(e) => return Err(e),
    };
    let mut walk = Walk {
        data,
        page_size,
        last_page: meta.last_page,
        budget: 0,
        rows: Vec::new(),
    };
    walk.budget = data.len() / page_size + 1;
    if meta.root != NO_ROOT {
        walk.page(meta.root, 0)?;
    }
    if walk.rows.len() as u64 != meta.entries {
        return damaged("the number of rows is not the recorded one");
    }
    Ok(walk.rows)
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
    fn parse(data: &[u8], page_at: usize) -> Result<Self> {
        if u16_at(data, page_at + 10)? & META == 0 {
            return damaged("a meta page is missing");
        }
        let at = page_at + PAGE_HEADER;
        if u32_at(data, at)? != MAGIC {
            return damaged("it is no LMDB file");
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

struct Walk<'a> {
    data: &'a [u8],
    page_size: usize,
    last_page: u64,
    /// Pages that may still be visited; a cycle runs out of it.
    budget: usize,
    rows: Vec<(Vec<u8>, Vec<u8>)>,
}

impl<'a> Walk<'a> {
    /// The bytes of `count` pages from `number` on.
    fn bytes(&self, number: u64, count: usize) -> Result<&'a [u8]> {
        let range = || {
            let start = usize::try_from(number).ok()?.checked_mul(self.page_size)?;
            let end = start.checked_add(count.checked_mul(self.page_size)?)?;
            self.data.get(start..end)
        };
        match range() {
            Some(bytes) if number >= 2 && number <= self.last_page => Ok(bytes),
            _ => damaged("a page lies outside of the file"),
        }
    }

    fn page(&mut self, number: u64, depth: usize) -> Result<()> {
        if depth >= MAX_DEPTH || self.budget == 0 {
            return damaged("its tree is not a tree");
        }
        self.budget -= 1;
        let page = self.bytes(number, 1)?;
        if u64_at(page, 0)? != number {
            return damaged("a page has the wrong number");
        }
        let flags = u16_at(page, 10)?;
        let lower = usize::from(u16_at(page, 12)?);
        if lower < PAGE_HEADER || lower > self.page_size || flags & (BRANCH | LEAF) == 0 {
            return damaged("a page header is impossible");
        }
        for at in (PAGE_HEADER..lower - 1).step_by(2) {
            let node = page
                .get(usize::from(u16_at(page, at)?)..)
                .unwrap_or_default();
            if flags & BRANCH != 0 {
                let top = u64::from(u16_at(node, 4)?);
                self.page(u64::from(u32_at(node, 0)?) | top << 32, depth + 1)?;
            } else {
                self.leaf(node)?;
            }
        }
        Ok(())
    }

    fn leaf(&mut self, node: &[u8]) -> Result<()> {
        let size = u32_at(node, 0)? as usize;
        let flags = u16_at(node, 4)?;
        let key_end = NODE_HEADER + usize::from(u16_at(node, 6)?);
        let Some(key) = node.get(NODE_HEADER..key_end) else {
            return damaged("a key lies outside of its page");
        };
        let value = match flags {
            0 => node.get(key_end..key_end + size),
            BIG_DATA => {
                let number = u64_at(node, key_end)?;
                let pages = (size + PAGE_HEADER).div_ceil(self.page_size);
                let bytes = self.bytes(number, pages)?;
                if u16_at(bytes, 10)? & OVERFLOW == 0 {
                    return damaged("a page header is impossible");
                }
                bytes.get(PAGE_HEADER..PAGE_HEADER + size)
            }
            _ => return damaged("a row has an unknown kind"),
        };
        match value {
            Some(value) => {
                self.rows.push((key.to_vec(), value.to_vec()));
                Ok(())
            }
            None => damaged("a value lies outside of its page"),
        }
    }
}
