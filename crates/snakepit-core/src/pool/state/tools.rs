//! The tools of a pool, as described by the latest ready worker. They outlive that worker.

use std::collections::HashMap;
use std::sync::Arc;

use crate::worker::ToolInfo;

/// A shared description: a lookup copies no schema.
#[derive(Debug)]
pub(crate) struct Tools {
    /// The tools in the order of their definition.
    list: Vec<Arc<ToolInfo>>,
    by_name: HashMap<String, usize>,
}

impl Tools {
    pub(crate) fn new(described: &[ToolInfo]) -> Self {
        let list: Vec<_> = described.iter().cloned().map(Arc::new).collect();
        let names = list.iter().map(|tool| tool.name.clone());
        Self {
            by_name: names.zip(0..).collect(),
            list,
        }
    }

    /// Returns the tool of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<ToolInfo>> {
        Some(&self.list[*self.by_name.get(name)?])
    }

    /// Returns the tools in the order of their definition.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &ToolInfo> {
        self.list.iter().map(|tool| &**tool)
    }
}
