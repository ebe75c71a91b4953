//! Which CPU is on which node.

/// Which CPU is on which node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    node_of_cpu: Vec<u16>,
    nodes: u16,
}

impl Topology {
    /// CPUs `0..` by their node.
    ///
    /// # Panics
    ///
    /// If there is no CPU.
    #[must_use]
    pub fn new(node_of_cpu: Vec<u16>) -> Self {
        assert!(!node_of_cpu.is_empty(), "a machine has a CPU");
        let nodes = node_of_cpu.iter().max().map_or(1, |&node| node + 1);
        Self { node_of_cpu, nodes }
    }

    /// A machine with one node.
    #[must_use]
    pub fn uniform(cpus: u16) -> Self {
        Self::new(vec![0; usize::from(cpus.max(1))])
    }

    /// Number of CPUs.
    #[must_use]
    pub fn cpus(&self) -> u16 {
        self.node_of_cpu.len() as u16
    }

    /// Number of nodes.
    #[must_use]
    pub fn nodes(&self) -> u16 {
        self.nodes
    }

    /// Node of a CPU (`numa_mem_id()`).
    #[must_use]
    pub fn node_of(&self, cpu: u16) -> u16 {
        self.node_of_cpu[usize::from(cpu)]
    }

    /// All nodes, the nearest to a CPU first. Node numbers stand for distance: the machine's distance table is not part of any trace.
    pub(crate) fn nearest_first(&self, cpu: u16) -> impl Iterator<Item = u16> + use<> {
        let local = self.node_of(cpu);
        std::iter::once(local).chain((0..self.nodes).filter(move |&node| node != local))
    }
}
