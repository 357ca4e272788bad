//! Every check and every report of this workspace.

fn main() {}
