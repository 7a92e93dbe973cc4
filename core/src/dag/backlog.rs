//! What a new file makes run at once, in words, for those who are about to give it to a server.

use chrono::{DateTime, Utc};

use super::Dag;
use crate::schedule;

/// A backlog of fewer slots is what people mean who write `catchup: all`.
const WORTH_A_WORD: u64 = 100;

/// What to know before a server first sees this DAG at `now`: how many slots `catchup: all` fires at once, if they are
/// many.
pub fn backlog_remark(dag: &Dag, now: DateTime<Utc>) -> Option<String> {
    let backlog = schedule::backlog(dag.schedule.as_ref()?, now);
    let more = if backlog.has_more { "more than " } else { "" };
    (backlog.count >= WORTH_A_WORD).then(|| {
        format!(
            "`catchup: all` fires {more}{} slots at once when this file is new, all since `start`; if that is not \
             meant, move `start`, or use `catchup: latest`",
            backlog.count
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remark(schedule: &str) -> Option<String> {
        let source = format!("dag: d\nschedule: {schedule}\ntasks: {{a: {{noop: true}}}}\n");
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        backlog_remark(&crate::dag::parse("d.yaml", &source).unwrap(), now)
    }

    #[test]
    fn only_a_file_that_looks_far_back_is_remarked_upon() {
        for quiet in [
            "'@hourly'",
            "{cron: '@hourly', start: 2020-01-01}",
            "{cron: '@hourly', start: 2020-01-01, catchup: latest}",
            "{cron: '@hourly', catchup: all}",
            "{cron: '@hourly', start: 2030-01-01, catchup: all}",
            "{cron: '@daily', start: 2025-12-01, catchup: all}",
            "'@manual'",
        ] {
            assert_eq!(remark(quiet), None, "{quiet}");
        }
        let hours = remark("{cron: '@hourly', start: 2025-01-01, catchup: all}").unwrap();
        assert!(hours.starts_with("`catchup: all` fires 8761 slots at once"), "{hours}");
    }

    #[test]
    fn counting_is_bounded_where_slots_have_to_be_walked() {
        let union = "{cron: ['* * * * * *', '@daily'], start: 1970-01-01, catchup: all}";
        assert!(remark(union).unwrap().contains("fires more than 100000 slots"));
        let single = "{cron: '* * * * * *', start: 1970-01-01, catchup: all}";
        assert!(remark(single).unwrap().contains("fires 1767225601 slots"));
    }
}
