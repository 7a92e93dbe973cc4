//! The DAG files of the demonstration, and how their tasks fare.

/// A DAG of the demonstration.
pub(super) struct DemoDag {
    /// Its file's path.
    pub(super) path: &'static str,
    /// Its text.
    pub(super) source: &'static str,
    /// How many of its past slots get a run.
    pub(super) runs: usize,
    /// How long one of its tasks usually takes, in milliseconds.
    pub(super) task_ms: i64,
    /// Which run, counted from the newest (0), fails at which task, and with what words.
    pub(super) failures: &'static [(usize, &'static str, &'static str)],
    /// The newest run goes on at this task.
    pub(super) running: Option<&'static str>,
    /// Which slots, counted from the newest (1), were missed, and why.
    pub(super) missed: &'static [(usize, &'static str)],
    /// Whether its schedule is held.
    pub(super) paused: bool,
}

pub(super) const QUIET: DemoDag = DemoDag {
    path: "",
    source: "",
    runs: 25,
    task_ms: 4_000,
    failures: &[],
    running: None,
    missed: &[],
    paused: false,
};

/// All of them.
pub(super) const DAGS: &[DemoDag] = &[
    DemoDag {
        path: "warehouse/nightly.yaml",
        runs: 30,
        task_ms: 400_000,
        failures: &[
            (1, "load_payments", "killed by signal 9: out of memory at its limit of 2.0 GiB"),
            (13, "load_payments", "exit code 1"),
            (22, "extract_orders", "exit code 7"),
        ],
        running: Some("load_payments"),
        source: "\
dag: warehouse_nightly
description: Orders, customers and payments from the shops into the warehouse, checked and published before the report.
owner: data-platform
tags: [warehouse, finance]
schedule:
  cron: [\"30 2 * * *\", \"30 9,14 * * 1-5\"]
  timezone: Europe/Berlin
max_active_runs: 1
params:
  region: {type: string, default: eu, enum: [eu, us, apac], description: Which shops are loaded}
  batch_size: {type: integer, default: 5000, min: 1, max: 50000, description: Rows per transaction}
  full: {type: boolean, default: false, description: \"Rebuild every mart, not only the changed ones\"}
  day: {type: string, default: yesterday, description: The day whose orders are loaded}
  tables: {type: array, default: [orders, payments]}
defaults: {retries: 3, retry_delay: 2m, timeout: 1h}
tasks:
  extract_orders:
    run: ./extract.sh orders --day {{ ds }}
    outputs: [rows]
  extract_customers:
    run: ./extract.sh customers --day {{ ds }}
  extract_payments:
    run: ./extract.sh payments --day {{ ds }} --region {{ params.region }}
    outputs: [rows]
  fx_rates:
    run: curl -fsS https://fx.example/latest > fx.json
  load_orders: {needs: [extract_orders], run: \"./load.sh orders {{ tasks.extract_orders.outputs.rows }}\"}
  load_customers: {needs: [extract_customers], run: ./load.sh customers}
  load_payments:
    needs: [extract_payments]
    run: [python3, load.py, --table, payments, --rows, \"{{ tasks.extract_payments.outputs.rows }}\"]
    env: {PGHOST: pg-wh.internal, PGUSER: loader, BATCH: \"{{ params.batch_size }}\"}
  full_rebuild: {needs: [load_orders], when: params.full, run: ./rebuild.sh}
  mart_customers: {needs: [load_orders, load_customers], run: ./mart.sh customers}
  mart_stock: {needs: [load_orders], run: ./mart.sh stock}
  mart_revenue: {needs: [load_payments, fx_rates], run: ./mart.sh revenue}
  check_quality: {needs: [load_payments, load_customers], run: ./check.sh}
  publish:
    needs: [mart_customers, mart_stock, mart_revenue, check_quality, full_rebuild]
    trigger_rule: none_failed
    run: ./publish.sh
  notify: {needs: [publish], trigger_rule: all_done, run: ./notify.sh}
",
        ..QUIET
    },
    DemoDag {
        path: "feeds/partner.yaml",
        failures: &[(0, "parse", "exit code 1: row 18,204 has an unknown column \"vat_id\""), (7, "fetch", "exit code 22")],
        source: "\
dag: partner_feed_import
owner: partnerships
tags: [feeds]
schedule: {cron: \"*/30 6-22 * * *\", timezone: Europe/Berlin}
tasks:
  fetch: {run: ./fetch.sh}
  parse: {needs: [fetch], run: ./parse.sh}
  import: {needs: [parse], run: ./import.sh}
  report: {needs: [import], run: ./report.sh}
",
        ..QUIET
    },
    DemoDag {
        path: "sre/certs.yaml",
        failures: &[(0, "renew_eu", "HTTP 429 from acme.example: too many certificates for this name")],
        source: "\
dag: edge_cert_renewal
owner: sre
tags: [certs]
schedule: {cron: \"40 3 * * *\", timezone: Europe/Berlin}
tasks:
  list: {run: ./list.sh}
  renew_eu: {needs: [list], run: ./renew.sh eu}
  renew_us: {needs: [list], run: ./renew.sh us}
",
        ..QUIET
    },
    DemoDag {
        path: "legal/erasure.yaml",
        missed: &[(1, "12 m 31 s past, over its deadline of 1m: no scheduler was running")],
        source: "\
dag: gdpr_erasure
owner: legal-ops
tags: [privacy]
schedule: {cron: \"15 1 * * *\", timezone: Europe/Berlin, catchup: none}
tasks: {erase: {run: ./erase.sh}}
",
        ..QUIET
    },
    DemoDag {
        path: "finance/fx.yaml",
        task_ms: 900,
        source: "\
dag: fx_rates
owner: finance
tags: [finance, feeds]
schedule: every 15m
tasks:
  fetch: {run: ./fx.sh, outputs: [rates]}
  store: {needs: [fetch], run: ./store.sh}
",
        ..QUIET
    },
    DemoDag {
        path: "sre/backup.yaml",
        task_ms: 90_000,
        running: Some("dump_c"),
        source: "\
dag: postgres_backup
owner: sre
tags: [backup]
schedule: {cron: \"5 * * * *\"}
tasks:
  freeze: {run: ./freeze.sh}
  dump_a: {needs: [freeze], run: ./dump.sh a}
  dump_b: {needs: [freeze], run: ./dump.sh b}
  dump_c: {needs: [freeze], run: ./dump.sh c}
  upload: {needs: [dump_a, dump_b, dump_c], run: ./upload.sh}
  thaw: {needs: [upload], trigger_rule: all_done, run: ./thaw.sh}
",
        ..QUIET
    },
    DemoDag {
        path: "marketing/digest.yaml",
        source: "\
dag: email_digest
owner: marketing
tags: [mail]
schedule: {cron: \"45 7 * * 1-5\", timezone: America/New_York}
tasks:
  collect: {run: ./collect.sh}
  send: {needs: [collect], run: ./send.sh}
",
        ..QUIET
    },
    DemoDag {
        path: "supply/inventory.yaml",
        paused: true,
        failures: &[(0, "sync", "exit code 28: timed out"), (1, "sync", "exit code 28: timed out")],
        source: "\
dag: inventory_sync
owner: supply
tags: [stock]
schedule: every 5m
tasks: {sync: {run: ./sync.sh}}
",
        ..QUIET
    },
    DemoDag {
        path: "heartbeat.yaml",
        runs: 120,
        task_ms: 120,
        source: "\
dag: heartbeat
description: Says every ten seconds that it lives.
tags: [example]
schedule: \"*/10 * * * * *\"
tasks: {beat: {run: date}}
",
        ..QUIET
    },
    DemoDag {
        path: "ml/churn.yaml",
        runs: 0,
        source: "\
dag: ml_churn_train
owner: data-science
tags: [ml]
schedule: \"@manual\"
params:
  dataset: {type: string, min: 3, description: Which data set is trained on}
  epochs: {type: integer, default: 20, min: 1, max: 500}
tasks:
  features: {run: ./features.sh}
  train: {needs: [features], queue: gpu, run: \"./train.sh {{ params.epochs }}\"}
  export_arm: {needs: [train], queue: arm64, run: ./export.sh}
",
        ..QUIET
    },
];

/// A file that cannot be read.
pub(super) const BROKEN: (&str, &str) = (
    "billing/refund_export.yaml",
    "\
dag: refund_export
owner: billing
schedule:
  cron: \"*/20 * * * *\"
  timezone: Europe/Berlin
defaults: {retries: 2}
tasks:
  export:
    run: ./refunds.sh --day {{ ds }}
    timeout: 10m
    retires: 3
    outputs: [rows, file]

  upload:
    needs: [exprot]
    run: ./upload.sh {{ tasks.export.outputs.file }}
    queue: default
",
);
