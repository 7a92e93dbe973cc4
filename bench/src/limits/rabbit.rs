//! What RabbitMQ can do without rota: messages published with confirms on one connection while another one consumes and
//! acknowledges them, on a queue as rota declares it by default.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use rota_tests::services::together::Services;
use tokio::time::timeout;

const QUEUE: &str = "limit";
/// Messages that may wait for their confirms, or for their acknowledgements: rota's own window of no-op tasks.
const WINDOW: u16 = 1024;
/// Messages per acknowledgement.
const ACK_EACH: usize = 128;
/// As long as rota's message of a task.
const BODY: [u8; 64] = [b'x'; 64];
const PERSISTENT: u8 = 2;
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Messages per second, from the first published to the last acknowledged.
pub(crate) async fn messages_per_second(services: &Services, count: usize) -> anyhow::Result<f64> {
    let place = tokio::task::block_in_place(|| services.place("limit"));
    let url = place.broker_url(services.rabbit.port());
    let (publisher, consumer) = (channel(&url).await?, channel(&url).await?);
    declare(&consumer.1).await?;
    let began = Instant::now();
    let (published, consumed) = tokio::join!(
        timeout(WAIT_MAX, publish(&publisher.1, count)),
        timeout(WAIT_MAX, consume(&consumer.1, count))
    );
    published.context("RabbitMQ confirms too slowly")??;
    consumed.context("RabbitMQ delivers too slowly")??;
    Ok(count as f64 / began.elapsed().as_secs_f64())
}

/// A channel, and the connection that it lives on.
async fn channel(url: &str) -> anyhow::Result<(Connection, Channel)> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    Ok((connection, channel))
}

async fn declare(channel: &Channel) -> anyhow::Result<()> {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("classic".into()));
    arguments.insert("x-queue-version".into(), AMQPValue::LongInt(2));
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(QUEUE.into(), durable, arguments).await?;
    Ok(())
}

async fn publish(channel: &Channel, count: usize) -> anyhow::Result<()> {
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let mut waiting = FuturesOrdered::new();
    for _ in 0..count {
        let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        waiting.push_back(channel.basic_publish("".into(), QUEUE.into(), options, &BODY, properties).await?);
        if waiting.len() >= usize::from(WINDOW) {
            confirmed(waiting.next().await)?;
        }
    }
    while let Some(confirm) = waiting.next().await {
        confirmed(Some(confirm))?;
    }
    Ok(())
}

fn confirmed(confirm: Option<lapin::Result<lapin::Confirmation>>) -> anyhow::Result<()> {
    let confirm = confirm.context("a confirm is missing")??;
    ensure!(confirm.is_ack(), "RabbitMQ did not take a message: {confirm:?}");
    Ok(())
}

async fn consume(channel: &Channel, count: usize) -> anyhow::Result<()> {
    channel.basic_qos(WINDOW, BasicQosOptions::default()).await?;
    let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
    let mut consumer = channel.basic_consume(QUEUE.into(), "limit".into(), options, arguments).await?;
    for no in 1..=count {
        let delivery = consumer.next().await.context("RabbitMQ ended the consumer")??;
        if no.is_multiple_of(ACK_EACH) || no == count {
            delivery.ack(BasicAckOptions { multiple: true }).await?;
        }
    }
    Ok(())
}
