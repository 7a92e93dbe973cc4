//! The leader's key: who holds it, taking it, and the list of replicas. One transaction each; never waits for anything.

use std::time::Duration;

use etcd_client::{Compare, CompareOp, GetOptions, KeyValue, PutOptions, Txn, TxnOp, TxnOpResponse};
use rota_core::id::ReplicaId;
use serde::{Deserialize, Serialize};

use super::connection::{CALL_MAX, EtcdConnection};
use super::error::EtcdError;

/// Most replicas listed.
const REPLICAS_MAX: i64 = 1000;

/// What the leader writes into its key, for people and for the fast path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LeaderRecord {
    /// Its name.
    pub(super) replica: ReplicaId,
    /// Its machine.
    pub(super) host: String,
    /// Its process.
    pub(super) pid: u32,
    /// Where it takes the fast path's connections.
    pub(super) peer: Option<String>,
    /// Its lease, in hexadecimal like in `etcdctl lease list`.
    pub(super) lease: String,
}

/// A key that somebody holds. The lease decides who that is: names can be given twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HeldKey {
    /// The lease that the key hangs on.
    pub(super) lease: i64,
    /// What the key says, if it can be read.
    pub(super) holder: Option<LeaderRecord>,
}

impl From<&KeyValue> for HeldKey {
    fn from(kv: &KeyValue) -> Self {
        Self { lease: kv.lease(), holder: serde_json::from_slice(kv.value()).ok() }
    }
}

/// How an attempt to take the seat ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TakeOutcome {
    /// It is ours, since this revision.
    Ours(i64),
    /// It is somebody else's.
    Theirs(HeldKey),
}

/// The election's keys, and how they are read and written.
#[derive(Clone)]
pub(super) struct LeaderKey {
    connection: EtcdConnection,
    prefix: String,
    me: LeaderRecord,
}

impl LeaderKey {
    /// The keys under `prefix` as `me` sees them.
    pub(super) fn new(connection: EtcdConnection, prefix: String, me: LeaderRecord) -> Self {
        Self { connection, prefix, me }
    }

    /// The same over another connection.
    pub(super) fn over(&self, connection: EtcdConnection) -> Self {
        Self { connection, ..self.clone() }
    }

    /// The connection.
    pub(super) fn connection(&self) -> &EtcdConnection {
        &self.connection
    }

    /// The leader's key.
    pub(super) fn name(&self) -> String {
        format!("{}leader", self.prefix)
    }

    /// Who holds the seat, and at which revision of etcd that was so.
    pub(super) async fn read(&self) -> Result<(Option<HeldKey>, i64), EtcdError> {
        let key = self.name();
        let get = |client: etcd_client::Client| {
            let key = key.clone();
            async move { client.kv_client().get(key, None).await }
        };
        let answer = self.connection.call(CALL_MAX, get).await?;
        let revision = answer.header().map_or(0, etcd_client::ResponseHeader::revision);
        Ok((answer.kvs().first().map(HeldKey::from), revision))
    }

    /// Takes the seat with `lease` if it is free, or if it still hangs on `old`, a lease this replica had before.
    pub(super) async fn take(&self, lease: i64, old: Option<i64>) -> Result<TakeOutcome, EtcdError> {
        let free = Compare::create_revision(self.name(), CompareOp::Equal, 0);
        let held = match self.put_if(free, lease).await? {
            PutOutcome::Done(revision) => return Ok(TakeOutcome::Ours(revision)),
            PutOutcome::Refused(held) => held,
        };
        match held {
            // An earlier attempt whose answer was lost.
            Some((held, revision)) if held.lease == lease => Ok(TakeOutcome::Ours(revision)),
            Some((held, _)) if Some(held.lease) == old => self.take_over(lease, held.lease).await,
            Some((held, _)) => Ok(TakeOutcome::Theirs(held)),
            None => Err(EtcdError::Away("the leader's key came and went".to_owned())),
        }
    }

    /// Gives up everything that hangs on a lease, asking each member for `limit`. A lease that is unknown holds nothing.
    pub(super) async fn revoke(&self, lease: i64, limit: Duration) -> Result<(), EtcdError> {
        let revoke = |client: etcd_client::Client| async move { client.lease_client().revoke(lease).await };
        match self.connection.call(limit, revoke).await {
            Ok(_) | Err(EtcdError::NoLease) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Writes this replica's name into the list, for as long as `lease` lives.
    pub(super) async fn register(&self, lease: i64) -> Result<(), EtcdError> {
        let key = format!("{}replicas/{}", self.prefix, self.me.replica);
        let value = self.value(lease);
        let put = |client: etcd_client::Client| {
            let (key, value) = (key.clone(), value.clone());
            async move { client.kv_client().put(key, value, Some(PutOptions::new().with_lease(lease))).await }
        };
        self.connection.call(CALL_MAX, put).await.map(drop)
    }

    /// The names in the list, the leader's first.
    pub(super) async fn replicas(&self) -> Result<Vec<ReplicaId>, EtcdError> {
        let list = format!("{}replicas/", self.prefix);
        let options = GetOptions::new().with_prefix().with_keys_only().with_limit(REPLICAS_MAX);
        let txn =
            Txn::new().and_then([TxnOp::get(self.name(), None), TxnOp::get(list.as_str(), Some(options))]);
        let answers = self.txn(txn).await?.op_responses();
        let [TxnOpResponse::Get(leader), TxnOpResponse::Get(listed)] = answers.as_slice() else {
            return Err(EtcdError::Away("unexpected answer to a transaction of two reads".to_owned()));
        };
        let leader =
            leader.kvs().first().and_then(|kv| HeldKey::from(kv).holder).map(|holder| holder.replica);
        let names = listed.kvs().iter().filter_map(|kv| kv.key_str().ok()?.strip_prefix(&list));
        let mut replicas: Vec<ReplicaId> = names.map(ReplicaId::trusted).collect();
        if let Some(leader) = leader {
            replicas.retain(|replica| *replica != leader);
            replicas.insert(0, leader);
        }
        Ok(replicas)
    }

    async fn take_over(&self, lease: i64, old: i64) -> Result<TakeOutcome, EtcdError> {
        let ours = Compare::lease(self.name(), CompareOp::Equal, old);
        match self.put_if(ours, lease).await? {
            PutOutcome::Done(revision) => Ok(TakeOutcome::Ours(revision)),
            PutOutcome::Refused(Some((held, _))) => Ok(TakeOutcome::Theirs(held)),
            PutOutcome::Refused(None) => Err(EtcdError::Away("the leader's key went meanwhile".to_owned())),
        }
    }

    async fn put_if(&self, condition: Compare, lease: i64) -> Result<PutOutcome, EtcdError> {
        let options = PutOptions::new().with_lease(lease);
        let txn = Txn::new()
            .when([condition])
            .and_then([TxnOp::put(self.name(), self.value(lease), Some(options))])
            .or_else([TxnOp::get(self.name(), None)]);
        let answer = self.txn(txn).await?;
        if answer.succeeded() {
            return Ok(PutOutcome::Done(answer.header().map_or(0, etcd_client::ResponseHeader::revision)));
        }
        match answer.op_responses().as_slice() {
            [TxnOpResponse::Get(got)] => {
                Ok(PutOutcome::Refused(got.kvs().first().map(|kv| (HeldKey::from(kv), kv.mod_revision()))))
            }
            _ => Err(EtcdError::Away("unexpected answer to a transaction".to_owned())),
        }
    }

    async fn txn(&self, txn: Txn) -> Result<etcd_client::TxnResponse, EtcdError> {
        let call = |client: etcd_client::Client| {
            let txn = txn.clone();
            async move { client.kv_client().txn(txn).await }
        };
        self.connection.call(CALL_MAX, call).await
    }

    fn value(&self, lease: i64) -> Vec<u8> {
        let holder = LeaderRecord { lease: format!("{lease:x}"), ..self.me.clone() };
        serde_json::to_vec(&holder).expect("five plain fields are JSON")
    }
}

/// How a guarded write ended.
enum PutOutcome {
    /// Written, at this revision.
    Done(i64),
    /// The condition did not hold; the key as it was, and its revision.
    Refused(Option<(HeldKey, i64)>),
}
