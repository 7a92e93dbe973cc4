//! What expressions mean: Jinja's words, with the differences that the module's text names.

use serde_json::{Map, Value, json};

use super::meter::STEPS_MAX;
use super::{Datum, Expression, FILTERS, FoundName, Meter, Names, TESTS, Template, Writer};

struct GivenArgs(Map<String, Value>);

impl Names for GivenArgs {
    fn find(&self, parts: &[String]) -> Option<FoundName<'_>> {
        let (head, rest) = parts.split_first()?;
        let value = rest.iter().try_fold(self.0.get(head)?, |at, part| at.get(part.as_str()))?;
        Some(FoundName::Value(value))
    }
}

struct Text;

impl Writer for Text {
    fn write(&self, value: &Datum, out: &mut String, meter: &mut Meter) -> Result<(), String> {
        value.write_text(out, meter)
    }
}

fn given() -> GivenArgs {
    let names = json!({
        "n": 7, "half": 2.5, "text": "Hello wörld", "yes": true, "no": false, "nothing": null, "empty": [],
        "list": [3, 1, 2], "map": {"b": 1, "a": 2}, "rows": [{"k": "x", "n": 1}, {"k": "Y", "n": 2}, {"k": "x", "n": 3}],
        "big": 9_007_199_254_740_993_i64, "max": u64::MAX, "tasks": {"load-x": {"rows": 4}},
    });
    GivenArgs(names.as_object().cloned().unwrap_or_default())
}

fn value(text: &str) -> Result<String, String> {
    let expression =
        Expression::read(text, 0..text.len()).map_err(|fault| format!("{}: {}", fault.at, fault.message))?;
    let mut meter = Meter::default();
    let datum = expression.value(&given(), &mut meter)?;
    assert!(meter.steps() <= STEPS_MAX);
    let mut json = String::new();
    datum.write_json(&mut json, &mut meter)?;
    Ok(json)
}

fn rendered(text: &str) -> Result<String, String> {
    let template = Template::read(text).map_err(|fault| format!("{}: {}", fault.at, fault.message))?;
    template.render(&given(), &Text, 10_000, &mut Meter::default())
}

const MEANINGS: &[(&str, &str)] = &[
    ("1 + 2 * 3 ** 2 - 4 // 3", "18"),
    ("7 // -2", "-4"),
    ("-7 % 3", "2"),
    ("7 % -3", "-2"),
    ("7 / 2", "3.5"),
    ("4 / 2", "2.0"),
    ("2 ** -1", "0.5"),
    ("2 ** 63", "9223372036854775808"),
    ("big == 9007199254740992.0", "false"),
    ("big > 9007199254740992.0", "true"),
    ("max", "18446744073709551615"),
    ("true + 1", "2"),
    ("1 == 1.0 == true", "true"),
    ("0.0 == -0.0", "true"),
    ("'1' == 1", "false"),
    ("none == none and none != 0", "true"),
    ("1 < 2 < 3 and not 3 < 2", "true"),
    ("not yes or no", "false"),
    ("no or 'x'", "\"x\""),
    ("'' and missing", "\"\""),
    ("1 if n > 5 else 2", "1"),
    ("1 if no", "null"),
    ("1 if no else 2 if no else 3", "3"),
    ("'a' ~ 1 ~ true ~ none ~ [1, 'b'] ~ 1.5", "\"a1true[1,\\\"b\\\"]1.5\""),
    ("'a' + 'b'", "\"ab\""),
    ("[1] + [2]", "[1,2]"),
    ("'ab' * 2 ~ 2 * 'c'", "\"ababcc\""),
    ("[0] * 3", "[0,0,0]"),
    ("2 in list and 9 not in list", "true"),
    ("'b' in map and 'wör' in text", "true"),
    ("list[0] + list[-1] + list.1", "6"),
    ("list[9] is undefined", "true"),
    ("text[6:] ~ text[:5] ~ text[::-6]", "\"wörldHellodo\""),
    ("list[::-1]", "[2,1,3]"),
    ("list[1:100]", "[1,2]"),
    ("list[-2:]", "[1,2]"),
    ("map.b + map['a']", "3"),
    ("rows[1].k", "\"Y\""),
    ("tasks['load-x'].rows", "4"),
    ("missing | default('d')", "\"d\""),
    ("missing.deeper | d", "\"\""),
    ("'' | default('d')", "\"\""),
    ("'' | default('d', true)", "\"d\""),
    ("nothing is none and nothing is defined", "true"),
    ("-3 | abs", "3"),
    ("[1, 2, 3, 4, 5] | batch(2, 0)", "[[1,2],[3,4],[5,0]]"),
    ("[1, 2, 3, 4, 5] | slice(3, 0)", "[[1,2],[3,4],[5,0]]"),
    ("'hELLO you' | capitalize ~ '|' ~ 'hello you' | title", "\"Hello you|Hello You\""),
    ("map | dictsort", "[[\"a\",2],[\"b\",1]]"),
    ("map | dictsort(by='value', reverse=true)", "[[\"a\",2],[\"b\",1]]"),
    ("map | items", "[[\"b\",1],[\"a\",2]]"),
    ("map | list", "[\"b\",\"a\"]"),
    ("list | first ~ list | last ~ text | first", "\"32H\""),
    ("rows | groupby('k') | map(attribute='grouper')", "[\"x\",\"Y\"]"),
    ("(rows | groupby('k'))[0].list | length", "2"),
    ("'42.9' | int + ' 7 ' | int + 2.9 | int", "51"),
    ("'x' | int(default=-1)", "-1"),
    ("'1e3' | float", "1000.0"),
    ("list | join(', ')", "\"3, 1, 2\""),
    ("'a\nb\r\nc' | lines", "[\"a\",\"b\",\"c\"]"),
    ("list | map('string')", "[\"3\",\"1\",\"2\"]"),
    ("rows | map(attribute='m', default=0)", "[0,0,0]"),
    ("list | max - list | min", "2"),
    ("empty | max is undefined", "true"),
    ("list | select('odd')", "[3,1]"),
    ("list | reject('gt', 1)", "[1]"),
    ("[0, 1, '', 'x'] | select", "[1,\"x\"]"),
    ("rows | selectattr('n', 'ge', 2) | map(attribute='k')", "[\"Y\",\"x\"]"),
    ("rows | rejectattr('m', 'defined') | length", "3"),
    ("'aXbX' | replace('X', '-') ~ 'ab' | replace('', '.')", "\"a-b-.a.b.\""),
    ("'abc' | reverse", "\"cba\""),
    ("2.5 | round ~ ' ' ~ 1.234 | round(2) ~ ' ' ~ 7 | round", "\"3.0 1.23 7\""),
    ("['b', 'A', 'c'] | sort", "[\"A\",\"b\",\"c\"]"),
    ("['b', 'A', 'B'] | sort(case_sensitive=true)", "[\"A\",\"B\",\"b\"]"),
    ("rows | sort(attribute='n', reverse=true) | map(attribute='n')", "[3,2,1]"),
    ("' a  b ' | split", "[\"a\",\"b\"]"),
    ("'a,b,,c' | split(',')", "[\"a\",\"b\",\"\",\"c\"]"),
    ("'a,b,c' | split(',', 1)", "[\"a\",\"b,c\"]"),
    ("rows | sum(attribute='n') + [0.5] | sum", "6.5"),
    ("' x ' | trim ~ '--x-' | trim('-')", "\"xx\""),
    ("['a', 'A', 'b', 1, 1.0] | unique", "[\"a\",\"b\",1]"),
    ("list | zip(['a', 'b'])", "[[3,\"a\"],[1,\"b\"]]"),
    ("range(3) | list ~ range(5, 0, -2) ~ range(1, 3)", "\"[0,1,2][5,3,1][1,2]\""),
    ("dict(map, c=3)", "{\"b\":1,\"a\":2,\"c\":3}"),
    ("{'a': 1, 'b': [true, none]}", "{\"a\":1,\"b\":[true,null]}"),
    ("{'a': 'é\"\\n'} | tojson", "\"{\\\"a\\\":\\\"é\\\\\\\"\\\\n\\\"}\""),
    ("n is odd and n is not even and 9 is divisibleby 3 and 'abc' is startingwith('a')", "true"),
    ("half is float and n is integer and n is number and yes is boolean and yes is true", "true"),
    ("map is mapping and list is sequence and text is string and text is iterable", "true"),
    ("n is eq 7 and n is in [7] and n is lt 8", "true"),
    ("-n | abs", "7"),
    ("(1, 2)[1] + (3)", "5"),
    ("1_000 + 0.5e1", "1005.0"),
    ("'a' 'b'", "\"ab\""),
];

#[test]
fn expressions_mean_what_jinja_means() {
    for (text, expected) in MEANINGS {
        assert_eq!(value(text).as_deref(), Ok(*expected), "{text}");
    }
}

#[test]
fn what_cannot_be_done_is_said() {
    let cases = [
        ("missing", "has no value"),
        ("missing == 1", "has no value"),
        ("missing.x.y", "has no value"),
        ("not missing", "has no value"),
        ("[missing]", "has no value"),
        ("list | map(attribute='x')", "has no value"),
        ("1 / 0", "division by zero"),
        ("1 // 0", "division by zero"),
        ("1 % 0.0", "division by zero"),
        ("max + 1", "more than 64 bits"),
        ("2 ** 64", "more than 64 bits"),
        ("2 ** 10000000000", "more than 64 bits"),
        ("10.0 ** 400", "too large"),
        ("'a' + 1", "`+` cannot be done with a text and a number"),
        ("'a' < 1", "cannot be compared"),
        ("1 in 2", "`in` expects"),
        ("'x' | int", "filter `int`: `x` is not a whole number"),
        ("list | batch(0)", "must be at least 1"),
        ("list | join(1, 2, 3)", "must be a text"),
        ("list | first(1)", "1 too many arguments"),
        ("list | sort(backwards=true)", "there is no argument `backwards`"),
        ("list | nope", "unknown filter `nope`"),
        ("list is nope", "unknown test `nope`"),
        ("['a', 1] | sort", "cannot be compared"),
        ("range(1, 2, 0)", "cannot go on by 0"),
        ("range(100000000)", "too many steps"),
        ("{1: 2}", "a map's key is a text"),
        ("text.upper()", "can be called"),
        ("nope(1)", "can be called"),
        ("1 +", "unexpected end of input, expected expression"),
        ("(1", "unexpected end of input"),
        ("1 2", "unexpected integer"),
        ("'a", "unexpected end of string"),
        ("'\\u12'", "invalid escape"),
        ("a ! b", "unexpected character"),
        ("99999999999999999999", "more than 64 bits"),
    ];
    for (text, expected) in cases {
        let said = value(text).expect_err(text);
        assert!(said.contains(expected), "{text}: {said}");
    }
}

#[test]
fn statements_mean_what_jinja_means() {
    let cases = [
        ("{% if n > 5 %}a{% elif n > 3 %}b{% else %}c{% endif %}", "a"),
        ("{% if n > 9 %}a{% elif n > 3 %}b{% else %}c{% endif %}", "b"),
        ("{% if no %}a{% elif no %}b{% else %}c{% endif %}", "c"),
        ("{% for x in list %}{{ x }}{% if not loop.last %},{% endif %}{% endfor %}", "3,1,2"),
        ("{% for x in empty %}x{% else %}none{% endfor %}", "none"),
        ("{% for x in list %}x{% else %}none{% endfor %}", "xxx"),
        (
            "{% for x in list if x > 1 %}{{ loop.index }}/{{ loop.length }}:{{ x }} {% endfor %}",
            "1/2:3 2/2:2 ",
        ),
        ("{% for k, v in map | dictsort %}{{ k }}={{ v }};{% endfor %}", "a=2;b=1;"),
        ("{% for (k, v) in map | items %}{{ k }}{{ v }}{% endfor %}", "b1a2"),
        ("{% for k, rows in rows | groupby('k') %}{{ k }}{{ rows | length }}{% endfor %}", "x2Y1"),
        (
            "{% for a in [1, 2] %}{% for b in [a, 9] %}{{ a }}{{ b }}{{ loop.depth }} {% endfor %}{% endfor %}",
            "112 192 222 292 ",
        ),
        (
            "{% for x in [1, 1, 2] %}{{ loop.changed(x) }}{{ loop.cycle('a', 'b') }} {% endfor %}",
            "truea falseb truea ",
        ),
        ("{% for x in list %}{{ loop.previtem }}<{{ loop.nextitem }} {% endfor %}", "<1 3<2 1< "),
        ("{% set a = 1 %}{% for x in list %}{% set a = x %}{% endfor %}{{ a }}", "1"),
        ("{% set a, b = list[:2] %}{{ a - b }}", "2"),
        ("{% set a = 1, 2 %}{{ a }}", "[1,2]"),
        ("{% if yes %}{% set a = 1 %}{% endif %}{{ a }}", "1"),
        ("{% if no %}{% set n = 1 %}{% endif %}{{ n }}", "7"),
        ("{% for n in [n] %}{{ n }}{% endfor %}{{ n }}", "77"),
        ("a {{- n -}} b {%- if yes -%} c {%- endif -%} d\n\n", "a7bcd\n"),
        ("a {%+ if yes +%} b {%- endif %}", "a  b"),
        ("{% raw %}{{ n }} {% if %}{% endraw %}", "{{ n }} {% if %}"),
        ("x {%- raw -%} {{ n }} {%- endraw -%} y", "x{{ n }}y"),
        ("{{ '}}' }}{{ {'a': {'b': '%}'}} }}", "}}{\"a\":{\"b\":\"%}\"}}"),
        ("a\n", "a"),
        ("a\n\n", "a\n"),
        ("{# {{ n }} #}", "{# 7 #}"),
        ("{{ none }}{{ true }}{{ 1e16 }}{{ 1e-7 }}", "true1e+161e-7"),
    ];
    for (text, expected) in cases {
        assert_eq!(rendered(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn broken_statements_are_refused_at_their_place() {
    let cases = [
        ("{% if n %}a", "0: `if` has no `endif`"),
        ("{% for x in list %}{% endif %}", "19: `endif` ends nothing"),
        ("a{% endfor %}", "1: `endfor` ends nothing"),
        ("{% else %}", "0: `else` ends nothing"),
        ("{% if n %}{% else %}{% else %}{% endif %}", "20: `else` ends nothing"),
        ("{% raw %}{{", "0: `raw` has no `endraw`"),
        ("{{ n", "unexpected end of input, expected end of variable block"),
        ("{% if n", "unexpected end of input"),
        ("{% for loop in list %}{% endfor %}", "7: `loop` cannot be the name of a variable"),
        ("{% set if = 1 %}", "cannot be the name"),
        ("{% set a %}", "`set` needs a value"),
        ("{% include 'x' %}", "0: unknown statement `include`, expected `if`"),
        ("{% %}", "0: an empty statement"),
        ("{{ }}", "expected expression"),
        ("{{ {% if %} }}", "unexpected"),
        ("{{ loop.index }}", ""),
    ];
    for (text, expected) in cases {
        let said = rendered(text).expect_err(text);
        assert!(said.contains(expected), "{text}: {said}");
    }
}

#[test]
fn names_from_outside_are_told_from_variables() {
    let uses = |text: &str| {
        let template = Template::read(text).expect("a valid template");
        let paths = template.uses().paths.iter();
        let shown = paths.map(|path| {
            format!("{}{}@{}", path.parts.join("/"), if path.computed { "?" } else { "" }, path.at)
        });
        shown.collect::<Vec<_>>()
    };
    assert_eq!(uses("a {{ ds }} b"), ["ds@5"]);
    assert_eq!(uses("{{ params.x|default('ds }} y') }}"), ["params/x@3"]);
    assert_eq!(uses("{{ tasks['a-b'].outputs[\"k\"] }}"), ["tasks/a-b/outputs/k@3"]);
    assert_eq!(uses("{{ tasks[ds].outputs }}"), ["tasks?@3", "ds@9"]);
    assert_eq!(uses("{% for s in s if s is not string %}{{ s }}{% endfor %}{{ s }}"), ["s@12", "s@57"]);
    assert_eq!(uses("{% raw %}{{ ds }}{% endraw %}{{- ts -}}"), ["ts@33"]);
    assert_eq!(uses("{{ items|join(d=ds) }}{{ {'a': {'b': ts}} }}"), ["items@3", "ds@16", "ts@37"]);
    assert_eq!(uses("{{ 1.5e3 + index }}{{ range(2) }}{{ raw }}"), ["index@11", "raw@36"]);
}

#[test]
fn filters_and_tests_are_found_by_halving() {
    assert!(FILTERS.is_sorted() && TESTS.is_sorted());
    for filter in FILTERS {
        let said = value(&format!("list | {filter}"));
        assert!(!said.as_ref().is_err_and(|said| said.contains("unknown")), "{said:?}");
    }
    for test in TESTS {
        let said = value(&format!("list is {test}"));
        assert!(!said.as_ref().is_err_and(|said| said.contains("unknown")), "{said:?}");
    }
}
