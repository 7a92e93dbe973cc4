//! What templates become.

use std::collections::BTreeMap;

use rota_core::dag::{DefaultShell, eval_when};
use rota_core::id::TaskNo;
use serde_json::{Map, json};

use super::support::{Given, command, errors, on_a_small_stack, parse, script};

#[test]
fn every_name_has_its_value() {
    let names = "{{ ds }} {{ ds_nodash }} {{ ds_local }} {{ ts }} {{ ts_nodash }} {{ ts_local }} {{ logical_date }} \
                 {{ data_interval_start }} {{ data_interval_end }} {{ run.id }} {{ run.state }} {{ dag.id }} \
                 {{ task.id }} {{ attempt }} {{ index }} {{ params.n + 1 }}";
    let schedule = "schedule: {cron: '30 0 * * *', timezone: Europe/Berlin}";
    let source = format!("dag: d\n{schedule}\nparams: {{n: 1}}\ntasks:\n  t: {{run: [echo, '{names}']}}\n");
    let rendered = command(&parse(&source), &Given::default()).unwrap();
    assert_eq!(
        rendered.argv[1],
        "2026-03-02 20260302 2026-03-03 2026-03-02T23:30:00Z 20260302T233000 2026-03-03T00:30:00+01:00 \
         2026-03-02T23:30:00Z 2026-03-01T23:30:00Z 2026-03-02T23:30:00Z 7 running d t 2 0 2"
    );
}

#[test]
fn a_manual_run_takes_its_dates_from_its_creation() {
    let dag = parse("tasks:\n  t: {run: 'echo {{ ds }} {{ data_interval_start }}'}\n");
    let manual = command(&dag, &Given { slot: None, ..Given::default() }).unwrap();
    assert_eq!(manual.argv.last().unwrap(), "echo 2026-03-05 2026-03-05T10:00:00Z");
    assert_eq!((manual.env["ROTA_SLOT"].as_str(), manual.env["ROTA_DS"].as_str()), ("", "2026-03-05"));
}

#[test]
fn commands_get_the_variables_of_their_attempt() {
    let dag = parse(
        "dag: d\nenv: {A: dag, B: 'x {{ ds }}'}\nparams: {region: eu, many: [1, two]}\n\
         tasks:\n  t: {run: [env], env: {A: task}, cwd: 'data/{{ params.region }}'}\n",
    );
    let rendered = command(&dag, &Given::default()).unwrap();
    let env: Vec<String> = rendered.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(
        env,
        [
            "A=task",
            "B=x 2026-03-02",
            "ROTA_ATTEMPT=2",
            "ROTA_DAG_ID=d",
            "ROTA_DS=2026-03-02",
            "ROTA_IDEMPOTENCY_KEY=d/7/t/0",
            "ROTA_PARAM_MANY=[1,\"two\"]",
            "ROTA_PARAM_REGION=eu",
            "ROTA_RUN_ID=7",
            "ROTA_SLOT=2026-03-02T23:30:00Z",
            "ROTA_TASK_ID=t",
            "ROTA_TASK_INDEX=0",
        ]
    );
    assert_eq!(rendered.cwd.as_deref(), Some("data/eu"));
}

#[test]
fn scripts_go_to_the_shell_that_the_task_or_the_host_names() {
    let argv = |shell: &str, default| {
        let dag = parse(&format!("tasks:\n  t: {{run: 'exit 0'{shell}}}\n"));
        command(&dag, &Given { shell: default, ..Given::default() }).unwrap().argv.join(" ")
    };
    assert_eq!(argv("", DefaultShell::Bash), "bash -euo pipefail -c exit 0");
    assert_eq!(argv("", DefaultShell::Sh), "sh -eu -c exit 0");
    assert_eq!(argv(", shell: dash", DefaultShell::Bash), "dash -eu -c exit 0");
    assert_eq!(argv(", shell: [python3, -c]", DefaultShell::Bash), "python3 -c exit 0");
    assert_eq!(argv(", shell: python3 -c", DefaultShell::Bash), "python3 -c exit 0");
}

#[test]
fn values_in_scripts_are_quoted_where_they_stand() {
    let cases = [
        ("echo {{ params.x }}", "a b", "echo 'a b'"),
        ("echo {{ params.x }}", "plain-1.2/x", "echo plain-1.2/x"),
        ("echo {{ params.x }}", "", "echo ''"),
        ("echo {{ params.x }}", "it's", r"echo 'it'\''s'"),
        ("echo --a={{ params.x }}.txt", "a b", "echo --a='a b'.txt"),
        ("echo \"<{{ params.x }}>\"", "$HOME `id` \"q\" \\", r#"echo "<\$HOME \`id\` \"q\" \\>""#),
        ("echo '{{ params.x }}'", "it's", r"echo 'it'\''s'"),
        ("echo \"$(echo {{ params.x }})\"", "a b", "echo \"$(echo 'a b')\""),
        ("true # {{ params.x }}", "a\nb", "true # 'a b'"),
        ("echo {{ params.x }}>f", "2", "echo '2'>f"),
        ("echo {{ params.x | raw }}", "$HOME; id", "echo $HOME; id"),
        ("cat <<E\n{{ params.x }}\nE\n", "$HOME", "cat <<E\n\\$HOME\nE"),
        ("cat <<'E'\n{{ params.x }}\nE\n", "$HOME", "cat <<'E'\n$HOME\nE"),
        ("echo $(( {{ params.x }} + 1 ))", "41", "echo $(( 41 + 1 ))"),
        ("{% for c in ['a b', params.x] %}[{{ c }}]{% endfor %}", "c", "['a b'][c]"),
        ("echo {{ [params.x, 'b', 3] }}", "a b", "echo 'a b' b 3"),
        ("echo {{ params.x | upper }} {{ params.x | replace('a', '{{ ds }}') }}", "a", "echo A '{{ ds }}'"),
        ("echo {{ {'k': params.x} }}", "v", "echo '{\"k\":\"v\"}'"),
    ];
    for (run, x, expected) in cases {
        assert_eq!(script(run, x).as_deref(), Ok(expected), "{run}");
    }
}

#[test]
fn values_that_no_quoting_makes_safe_are_refused_when_they_come() {
    let cases = [
        ("echo $(( {{ params.x }} ))", "a[$(id)]", "only a whole number is safe inside (( ))"),
        ("cat <<E\n{{ params.x }}\nE\n", "a\nE\nid", "the value would end the here-document"),
        ("cat <<E\n{{ params.x }}\nid\nE\n", "E", "the value would end the here-document"),
        ("cat <<'END'\nE{{ params.x }}\nid\nEND\n", "ND", "the value would end the here-document"),
    ];
    for (run, x, expected) in cases {
        let error = script(run, x).unwrap_err().to_string();
        assert!(error.starts_with("`run` of task `t`: ") && error.contains(expected), "{run}: {error}");
    }
}

#[test]
fn arguments_are_one_value_each_and_never_quoted() {
    let dag = parse("params: {x: ''}\ntasks:\n  t: {run: [echo, 'a {{ params.x }}', '{{ [1, \"b\"] }}']}\n");
    let rendered = command(&dag, &Given::params(json!({"x": "$(id) 'q' {{7*7}}"}))).unwrap();
    assert_eq!(rendered.argv, ["echo", "a $(id) 'q' {{7*7}}", "[1,\"b\"]"]);
}

#[test]
fn outputs_of_upstream_tasks_are_read_and_recorded() {
    let dag = parse(
        "tasks:\n  load-x: {run: 'true', outputs: [rows]}\n  mid: {noop: true, needs: [load-x]}\n  \
         end: {run: \"echo {{ tasks['load-x'].outputs.rows }} {{ tasks.mid.outputs.k | default('none') }}\", \
         needs: [mid], when: \"tasks['load-x'].outputs.rows | int > 3\"}\n",
    );
    assert_eq!(dag.tasks[2].reads_outputs_of, [TaskNo(0), TaskNo(1)]);
    assert_eq!(dag.tasks[2].when_reads_outputs_of, [TaskNo(0)]);
    let given = Given::outputs("load-x", json!({"rows": "4 5"}));
    assert_eq!(command(&dag, &given).unwrap().argv.last().unwrap(), "echo '4 5' none");
    let error = command(&dag, &Given::default()).unwrap_err().to_string();
    assert_eq!(error, "`run` of task `end`: `tasks['load-x'].outputs.rows`: has no value");
}

#[test]
fn conditions_are_true_or_false() {
    let holds = |when: &str, rows| {
        let source = format!(
            "params: {{region: eu}}\ntasks:\n  a: {{run: 'true'}}\n  t: {{noop: true, needs: [a], when: {when:?}}}\n"
        );
        let dag = parse(&source);
        let given = Given::outputs("a", json!({"rows": rows}));
        let params = Map::from_iter([("region".to_owned(), json!("eu"))]);
        eval_when(&dag, &dag.tasks[1], &given.scope(&params)).holds.map_err(|error| error.message)
    };
    assert_eq!(holds("{{ params.region == 'eu' }}", json!(1)), Ok(true));
    assert_eq!(holds("params.region == 'us'", json!(1)), Ok(false));
    assert_eq!(holds("tasks.a.outputs.rows | int > 10", json!("11")), Ok(true));
    assert_eq!(holds("tasks.a.outputs.rows", json!("false")), Ok(false));
    assert_eq!(holds("{{ tasks.a.outputs.rows }}", json!("true")), Ok(true));
    assert_eq!(holds("tasks.a.outputs.rows", json!([])), Ok(false));
    let text = holds("tasks.a.outputs.rows", json!("maybe")).unwrap_err();
    assert!(text.contains("expected true or false, got the text `maybe`"), "{text}");
    assert!(holds("tasks.a.outputs.other", json!(1)).unwrap_err().contains("no value"));
}

#[test]
fn output_and_steps_are_bounded() {
    let loops = "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}";
    assert!(script(loops, "").unwrap_err().message.contains("too many steps"));
    let large = "{% for a in range(30) %}{{ params.x | raw }}{% endfor %}";
    let error = script(large, &"a".repeat(60_000)).unwrap_err();
    assert!(error.message.contains("larger than 1048576 bytes"), "{error}");
}

#[test]
fn dates_are_formatted_in_any_zone() {
    let run = "echo {{ logical_date | strftime('%d.%m. %H:%M', 'Asia/Tokyo') }}";
    assert_eq!(script(run, "").unwrap(), "echo '03.03. 08:30'");
    let error = script("echo {{ logical_date | strftime('%Q') }}", "").unwrap_err().to_string();
    assert!(error.contains("`%Q` is not a date format"), "{error}");
}

#[test]
fn values_are_never_templates() {
    let outputs = Given { outputs: BTreeMap::new(), ..Given::params(json!({"x": "{{ params.x }}{% if %}"})) };
    let dag =
        parse("params: {x: ''}\nenv: {E: '{{ params.x }}'}\ntasks:\n  t: {run: [echo, '{{ params.x }}']}\n");
    let rendered = command(&dag, &outputs).unwrap();
    assert_eq!(rendered.argv[1], "{{ params.x }}{% if %}");
    assert_eq!(rendered.env["E"], rendered.env["ROTA_PARAM_X"]);
}

#[test]
fn scripts_of_other_shells_take_no_quoted_values() {
    let source = "params: {x: 1}\ntasks:\n  t: {shell: [python3, -c], run: 'print({{ params.x }})'}\n";
    assert!(
        errors(source).contains("f.yaml:3:41: values can be quoted for POSIX shells only"),
        "{}",
        errors(source)
    );
    let raw = source.replace("params.x }}", "params.x | raw }}");
    assert_eq!(command(&parse(&raw), &Given::default()).unwrap().argv[2], "print(1)");
}

#[test]
fn a_script_has_no_comments_of_templates() {
    let text = "arr=(x1 y2 z3); echo count=${#arr[@]} of ${arr[0]/x#}; echo end";
    assert_eq!(script(text, "").unwrap(), text);
    assert_eq!(script("echo ${#} {# {{ params.x }} #}", "v").unwrap(), "echo ${#} {# v #}");
}

#[test]
fn braces_for_another_program_are_told_how_to_pass() {
    for run in ["docker ps --format '{{.Names}}'", "helm template '{{ $x }}'", "{% $x %}"] {
        let quoted = serde_json::to_string(run).unwrap();
        let said = errors(&format!("tasks:\n  t: {{run: {quoted}}}\n"));
        assert!(said.contains("{% raw %}"), "{run}: {said}");
    }
    assert_eq!(
        script("docker ps --format '{% raw %}{{.Names}}{% endraw %}'", "").unwrap(),
        "docker ps --format '{{.Names}}'"
    );
}

#[test]
fn one_value_has_one_text_wherever_it_is_placed() {
    let given =
        json!({"yes": true, "no": false, "big": 9_223_372_036_854_775_807_i64, "max": u64::MAX, "half": 1.5});
    let names = ["yes", "no", "big", "max", "half"];
    let params: String =
        given.as_object().unwrap().iter().map(|(name, value)| format!("{name}: {value}, ")).collect();
    for name in names {
        let place = format!("{{{{ params.{name} }}}}");
        let dag = parse(&format!(
            "params: {{{params}}}\ntasks:\n  t: {{run: [a, '{place}', '{{{{ params.{name} | string }}}}', \
             '{{{{ [params.{name}] | join }}}}', '{{{{ params.{name} | tojson }}}}'], env: {{A: '{place}'}}}}\n"
        ));
        let made = command(&dag, &Given::default()).unwrap();
        let text = given[name].to_string();
        assert_eq!(made.argv[1..], [text.as_str(); 4], "{name}");
        assert_eq!(made.env["A"], text);
        assert_eq!(made.env[&format!("ROTA_PARAM_{}", name.to_uppercase())], text);
        let dag = parse(&format!("params: {{{params}}}\ntasks:\n  t: {{run: 'echo {place}'}}\n"));
        assert_eq!(command(&dag, &Given::default()).unwrap().argv.last().unwrap(), &format!("echo {text}"));
    }
}

/// Texts that nest an expression as deep as they are long, by each of the ways there are.
fn chains(count: usize) -> Vec<String> {
    let mut chains: Vec<String> =
        ["+", " - ", "*", "~", " and ", " or ", "==", " < ", " in ", "//", "**", "%", " if 1 else "]
            .iter()
            .map(|operator| vec!["1"; count].join(operator))
            .collect();
    for (open, middle, close) in [
        ("-", "1", ""),
        ("not ", "true", ""),
        ("", "params", ".a"),
        ("", "params", "['a']"),
        ("", "1", "|abs"),
        ("", "ds", "(1)"),
        ("(", "1", ")"),
        ("[", "1", "]"),
        ("{'a': ", "1", "}"),
        ("ds[", "1", "]"),
        ("", "1", " is defined"),
        ("", "1", "|default(1"),
    ] {
        chains.push(format!("{}{middle}{}", open.repeat(count), close.repeat(count)));
    }
    chains
}

#[test]
fn whatever_nests_an_expression_is_refused_at_its_place_before_anything_recursive_meets_it() {
    let check = || {
        for chain in chains(20_000).iter().chain(&chains(3_000)) {
            // The part that fits into what is read of a template at all.
            let chain = &chain[..chain.len().min(60_000)];
            for file in [
                format!("tasks:\n  t: {{when: \"{chain}\", noop: true}}\n"),
                format!("tasks:\n  t: {{run: \"echo {{{{ {chain} }}}}\"}}\n"),
                format!("tasks:\n  t: {{run: [echo, \"{{% if {chain} %}}{{% endif %}}\"]}}\n"),
                format!("tasks:\n  t: {{noop: true, env: {{A: \"{{{{ {chain} }}}}\"}}}}\n"),
            ] {
                let said = errors(&file);
                assert!(said.starts_with("f.yaml:2:"), "{said}");
                assert!(said.contains("at most") || said.contains("more than"), "{}: {said}", &chain[..40]);
            }
        }
        for open in
            ["{% if 1 %}", "{% for x in [1] %}", "{% if 1 %}{% for x in [1] %}", "{% if 1 %}{% elif 1 %}"]
        {
            let said = errors(&format!("tasks:\n  t: {{run: \"{}\"}}\n", open.repeat(2_000)));
            assert!(said.contains("statements within statements"), "{open}: {said}");
        }
        // What is within the bounds is read, compiled, evaluated and dropped.
        for chain in chains(38) {
            let _either =
                rota_core::dag::parse("f.yaml", &format!("tasks:\n  t: {{when: \"{chain}\", noop: true}}\n"));
        }
        let sum = ["1"; 150].join(" + ");
        let many =
            parse(&format!("tasks:\n  t: {{run: [echo, \"{{{{ {} }}}}\"]}}\n", ["1"; 1_000].join(" + ")));
        assert_eq!(command(&many, &Given::default()).unwrap().argv[1], "1000");
        let dag = parse(&format!("tasks:\n  t: {{run: [echo, \"{{{{ {sum} }}}}\"]}}\n"));
        assert_eq!(command(&dag, &Given::default()).unwrap().argv[1], "150");
    };
    on_a_small_stack(check);
}

#[test]
fn signs_without_spaces_are_counted_like_all_others() {
    let check = || {
        for sign in ["-", "+"] {
            for body in [
                format!("{}1", sign.repeat(40_000)),
                format!("1{}", sign.repeat(40_000)),
                format!(" {}1", "- ".repeat(20_000)),
            ] {
                for text in [
                    format!("{{{{{body}}}}}"),
                    format!("{{%if {body}%}}{{% endif %}}"),
                    format!("{{%{body}%}}"),
                ] {
                    let said = errors(&format!("tasks:\n  t: {{run: [echo, \"{text}\"]}}\n"));
                    assert!(said.starts_with("f.yaml:2:"), "{said}");
                }
            }
        }
    };
    on_a_small_stack(check);
}

#[test]
fn what_is_joined_may_be_an_attribute_of_each_item() {
    let argument = |text: &str| {
        let dag = parse(&format!(
            "params: {{l: [{{on: true, at: {{n: 7}}}}, {{on: false, at: {{n: 8}}}}]}}\ntasks:\n  t: {{run: [a, \"{text}\"]}}\n"
        ));
        command(&dag, &Given::default()).unwrap().argv[1].clone()
    };
    assert_eq!(argument("{{ params.l | join(',', attribute='on') }}"), "true,false");
    assert_eq!(argument("{{ params.l | join('-', 'at.n') }}"), "7-8");
    assert_eq!(argument("{{ params.l | join(attribute='on') }}"), "truefalse");
    assert_eq!(argument("{{ params.l | map(attribute='on') | join(d=' ') }}"), "true false");
}

#[test]
fn raw_text_hides_no_expression_behind_it() {
    let bomb = "- ".repeat(20_000);
    for odd in ["{%--endraw%}", "{% endrawx %}", "{% endraw x %}", "{%endraw--%}"] {
        let text = format!("{{% raw %}}{odd}{{{{ ' {{% endraw %}}{{{{ {bomb}1 }}}}");
        let said = errors(&format!("tasks:\n  t: {{run: [echo, \"{text}\"]}}\n"));
        assert!(said.contains("nested more than"), "{odd}: {said}");
    }
}
