//! Parameters when a run is triggered.

use rota_core::dag::{Dag, parse_param_text, parse_params};
use serde_json::{Value, json};

use super::support::{object, parse};

fn dag() -> Dag {
    parse(
        "params:\n  region: {type: string, default: eu, enum: [eu, us]}\n  count: {type: integer, min: 1, max: 5}\n  \
         ratio: {type: number, default: 0.5, min: 0}\n  dry: {type: boolean, default: false}\n  \
         shops: {type: array, default: [], max: 2}\n  extra: {type: object, default: {}}\n  \
         name: {type: string, default: x, min: 1, max: 3}\ntasks: {a: {noop: true}}\n",
    )
}

fn refused(given: Value) -> Vec<String> {
    let errors = parse_params(&dag(), &object(given)).unwrap_err();
    errors.to_string().lines().map(|line| line.trim_start_matches("parameter ").to_owned()).collect()
}

#[test]
fn defaults_are_filled_in_file_order() {
    let values = parse_params(&dag(), &object(json!({"dry": true, "count": 3}))).unwrap();
    let text = Value::Object(values).to_string();
    assert_eq!(text, r#"{"region":"eu","count":3,"ratio":0.5,"dry":true,"shops":[],"extra":{},"name":"x"}"#);
}

#[test]
fn what_does_not_fit_is_refused_all_at_once() {
    assert_eq!(refused(json!({})), ["`count`: is required"]);
    assert_eq!(
        refused(json!({"count": 9, "regoin": "eu", "ratio": "x", "dry": 1, "shops": [1, 2, 3], "extra": []})),
        [
            "`regoin`: is not a parameter of DAG `test`; did you mean `region`?",
            "`count`: expected at most 5, got 9",
            "`ratio`: expected a number, got `\"x\"`",
            "`dry`: expected `true` or `false`, got `1`",
            "`shops`: expected at most 2 values, got 3",
            "`extra`: expected an object, got `[]`",
        ]
    );
    assert_eq!(
        refused(json!({"count": 1, "region": "de"})),
        ["`region`: expected one of `eu`, `us`, got `de`"]
    );
    assert_eq!(refused(json!({"count": 1.5})), ["`count`: expected a whole number, got `1.5`"]);
    assert_eq!(refused(json!({"count": 1, "name": ""})), ["`name`: expected at least 1 characters, got 0"]);
    let large = refused(json!({"count": 1, "extra": {"k": "x".repeat(70_000)}}));
    assert!(large[0].ends_with("at most 65536 are taken"), "{large:?}");
}

#[test]
fn texts_are_read_by_the_declared_type() {
    let read = |name, text| parse_param_text(&dag(), name, text).map_err(|error| error.to_string());
    assert_eq!(read("region", "us"), Ok(json!("us")));
    assert_eq!(read("count", " 4 "), Ok(json!(4)));
    assert_eq!(read("ratio", "1e-3"), Ok(json!(0.001)));
    assert_eq!(read("ratio", "2"), Ok(json!(2)));
    assert_eq!((read("dry", "on"), read("dry", "False")), (Ok(json!(true)), Ok(json!(false))));
    assert_eq!(read("shops", "a, b"), Ok(json!(["a", "b"])));
    assert_eq!(read("shops", "[1, \"b\"]"), Ok(json!([1, "b"])));
    assert_eq!(read("extra", "{\"k\": 1}"), Ok(json!({"k": 1})));
    assert_eq!(read("count", "four").unwrap_err(), "parameter `count`: expected a whole number, got `four`");
    assert_eq!(read("count", "6").unwrap_err(), "parameter `count`: expected at most 5, got 6");
    assert!(read("extra", "[]").unwrap_err().contains("expected an object"));
    assert!(read("ratio", "NaN").unwrap_err().contains("expected a number"));
    assert!(read("Region", "eu").unwrap_err().contains("did you mean `region`?"));
}

#[test]
fn whole_numbers_keep_their_digits_or_are_refused() {
    let dag = parse(
        "params: {n: {type: integer}, l: {type: array}, o: {type: object}}\ntasks: {t: {noop: true}}\n",
    );
    let text = |name: &str, text: &str| {
        rota_core::dag::parse_param_text(&dag, name, text).map(|value| value.to_string())
    };
    for same in ["0", "-9223372036854775808", "9223372036854775807", "18446744073709551615"] {
        assert_eq!(text("n", same).as_deref(), Ok(same));
        assert_eq!(text("l", &format!("[{same}]")), Ok(format!("[{same}]")));
        assert_eq!(text("o", &format!("{{\"a\":{same}}}")), Ok(format!("{{\"a\":{same}}}")));
    }
    for wide in ["18446744073709551616", "-9223372036854775809", "12345678901234567890123"] {
        assert!(text("n", wide).is_err());
        for said in [text("l", &format!("[1.5e30, \"x\", {wide}]")), text("o", &format!("{{\"a\": {wide}}}"))]
        {
            assert!(
                said.as_ref().is_err_and(|error| error.message.contains("more than 64 bits")),
                "{said:?}"
            );
        }
        let outputs = rota_core::dag::parse_outputs(format!("{{\"a\": [{wide}]}}").as_bytes(), &[]);
        assert!(outputs.is_err_and(|error| error.to_string().contains("more than 64 bits")));
        assert!(text("l", &format!("[\"{wide}\\\"\", 1e30]")).is_ok());
    }
}
