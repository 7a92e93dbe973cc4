//! The DAG files that are measured.

use std::fmt::Write as _;
use std::path::Path;

/// A task that starts `tasks - 1` others; all do `action`, written as YAML such as `noop: true`.
pub(crate) fn fan(dag: &str, tasks: usize, action: &str) -> String {
    let mut text = format!("dag: {dag}\nmax_active_runs: 100000\ntasks:\n  root: {{{action}}}\n");
    for no in 1..tasks {
        push(&mut text, format_args!("  t{no}: {{{action}, needs: [root]}}\n"));
    }
    text
}

/// Tasks that follow each other: `t0`, `t1` and so on.
pub(crate) fn chain(dag: &str, tasks: usize, action: &str) -> String {
    let mut text = format!("dag: {dag}\nmax_active_runs: 100000\ntasks:\n  t0: {{{action}}}\n");
    for no in 1..tasks {
        push(&mut text, format_args!("  t{no}: {{{action}, needs: [t{}]}}\n", no - 1));
    }
    text
}

/// Five tasks: one, then three side by side, then one.
pub(crate) fn five(dag: &str, action: &str) -> String {
    format!(
        "dag: {dag}\nmax_active_runs: 100000\ntasks:\n  a: {{{action}}}\n  b: {{{action}, needs: [a]}}\n  \
         c: {{{action}, needs: [a]}}\n  d: {{{action}, needs: [a]}}\n  e: {{{action}, needs: [b, c, d]}}\n"
    )
}

/// One task, due every second.
pub(crate) fn every_second(dag: &str, action: &str) -> String {
    format!("dag: {dag}\nschedule: \"* * * * * *\"\ntasks:\n  tick: {{{action}}}\n")
}

/// The `no`-th of many files as people write them: a schedule that is not due soon, a parameter, five tasks with
/// templates, retries and outputs.
pub(crate) fn typical(no: usize) -> String {
    format!(
        "dag: typical_{no}
description: Yesterday's sales of shop {no}
owner: data-platform
tags: [sales, shop]
schedule:
  cron: \"{} 3 1 1 *\"
  timezone: Europe/Berlin
  catchup: none
params:
  region: {{type: string, default: eu, enum: [eu, us]}}
defaults: {{retries: 2, retry_delay: 30s, timeout: 10m}}
env: {{SHOP: \"{no}\"}}
tasks:
  extract:
    run: echo \"rows={no}\" >> \"$ROTA_OUTPUT\"; echo {{{{ ds }}}} {{{{ params.region }}}}
    outputs: [rows]
  clean:
    needs: [extract]
    run: [echo, \"--rows\", \"{{{{ tasks.extract.outputs.rows }}}}\"]
  load:
    needs: [clean]
    run: echo loading {{{{ data_interval_start }}}}
    retries: 3
    retry_backoff: exponential
  check:
    needs: [clean]
    run: test -n \"$SHOP\"
  done:
    needs: [load, check]
    trigger_rule: all_done
    noop: true
",
        no % 60
    )
}

/// The action that stamps `file`.
pub(crate) fn stamp(me: &Path, file: &Path) -> String {
    format!("run: [{}, {}, {}]", quoted(me), crate::stamp::COMMAND, quoted(file))
}

/// The action that appends a line to `file` from the shell.
pub(crate) fn witness(file: &Path) -> String {
    let script = format!("echo \"$ROTA_TASK_ID $ROTA_ATTEMPT\" >> \"{}\"", file.display());
    format!("run: '{}'", script.replace('\'', "''"))
}

/// A path as a YAML text.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', "''"))
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("a String takes every write");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks_of(name: &str, text: &str) -> usize {
        rota_core::dag::parse(name, text).unwrap_or_else(|errors| panic!("{name}: {errors}")).tasks.len()
    }

    #[test]
    fn every_file_is_valid_and_has_the_tasks_it_should() {
        let (me, file) = (Path::new("/tmp/it's me"), Path::new("/tmp/w"));
        assert_eq!(tasks_of("fan.yaml", &fan("fan", 10_000, "noop: true")), 10_000);
        assert_eq!(tasks_of("chain.yaml", &chain("chain", 40, &stamp(me, file))), 40);
        assert_eq!(tasks_of("five.yaml", &five("five", "noop: true")), 5);
        assert_eq!(tasks_of("tick.yaml", &every_second("tick", &stamp(me, file))), 1);
        assert_eq!(tasks_of("witness.yaml", &fan("witness", 3, &witness(file))), 3);
        assert_eq!(tasks_of("typical.yaml", &typical(7)), 5);
    }
}
