//! Names of threads are taken from the lines of their events.

use slubreplay_parsers::AnyTrace;

/// The names that a trace in text has for its threads.
fn names(text: &str) -> Vec<(i32, String)> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace.txt");
    std::fs::write(&path, text).unwrap();
    AnyTrace::open(&path).unwrap().decode(&|_| {}).unwrap().tasks.into_iter().collect()
}

fn expected(names: &[(i32, &str)]) -> Vec<(i32, String)> {
    names.iter().map(|&(pid, name)| (pid, name.to_owned())).collect()
}

#[test]
fn the_last_name_of_each_thread_whatever_is_in_it() {
    let text = "\
# tracer: nop
          <idle>-0       [001] d.s3.   100.000001: kfree: call_site=foo+0x1/0x2 ptr=0xffff888000000040
            bash-100     [000] .....   100.000002: kfree: call_site=foo+0x1/0x2 ptr=0xffff888000000080
 Web Content-1-x-200     [000] .....   100.000003: kfree: call_site=foo+0x1/0x2 ptr=0xffff8880000000c0
           <...>-300     [000] .....   100.000004: kfree: call_site=foo+0x1/0x2 ptr=0xffff888000000100
            make-100     [000] .....   100.000005: kfree: call_site=foo+0x1/0x2 ptr=0xffff888000000140
";
    assert_eq!(names(text), expected(&[(0, "<idle>"), (100, "make"), (200, "Web Content-1-x")]));
}

#[test]
fn perf_prints_a_number_for_a_name_that_it_does_not_know() {
    let text = "\
            bash   100 [000]   100.000001: kmem:kfree: call_site=foo+0x1/0x2 ptr=0xffff888000000040
          :12345 12345 [000]   100.000002: kmem:kfree: call_site=foo+0x1/0x2 ptr=0xffff888000000080
       a b [c] 1   200 [001]   100.000003: kmem:kfree: call_site=foo+0x1/0x2 ptr=0xffff8880000000c0
";
    assert_eq!(names(text), expected(&[(100, "bash"), (200, "a b [c] 1")]));
}
