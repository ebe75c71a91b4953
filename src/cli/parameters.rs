//! How a replay was asked for, as the page of `--out` shows it.

use clap::ValueEnum;

use super::args::{MachineArgs, ReplayArgs};
use crate::setting::Nodes;

/// Options and their values as they can be typed: those that always shape the replay, then those that replace what the recording says.
pub(super) fn list(args: &ReplayArgs, machine: &MachineArgs) -> Vec<(String, String)> {
    let pages = args.pages.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
    let mut parameters = vec![("--samples", args.samples.to_string()), ("--pages", pages)];
    let flags = [("--check", args.check), ("--stream", args.stream)];
    parameters.extend(flags.into_iter().filter(|(_, given)| *given).map(|(name, _)| (name, "yes".to_owned())));
    let given = [
        ("--kallsyms", args.kallsyms.as_ref().map(|path| path.display().to_string())),
        ("--kernel", machine.kernel.as_ref().map(ToString::to_string)),
        ("--allocator", machine.allocator.map(|allocator| allocator.name().to_owned())),
        ("--cpus", machine.cpus.map(|cpus| cpus.to_string())),
        ("--page-size", machine.page_size.map(|bytes| bytes.to_string())),
        ("--nodes", machine.nodes.as_ref().map(nodes)),
    ];
    parameters.extend(given.into_iter().filter_map(|(name, value)| Some((name, value?))));
    parameters.extend(args.set.iter().map(|set| ("--set", set.to_string())));
    parameters.extend(args.what_if.iter().map(|what_if| ("--what-if", what_if.text.clone())));
    parameters.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn nodes(nodes: &Nodes) -> String {
    match nodes {
        Nodes::Count(count) => count.to_string(),
        Nodes::Lists(lists) => {
            let list = |cpus: &Vec<u16>| cpus.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
            lists.iter().map(list).collect::<Vec<_>>().join("/")
        }
    }
}
