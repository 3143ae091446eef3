// Publish one event to the subscribers of a channel: plain amqplib, nothing of Warren's.
//
//     AMQP_URL=amqp://user:password@host:5672/vhost node publish.js chat:room '{"text": "hello"}'
//
// Exit code 0 means that RabbitMQ has confirmed the event.

'use strict';

const { randomUUID } = require('node:crypto');
const amqp = require('amqplib');

// chat:room travels as chat.room, a channel without a namespace, room, as _.room, and a private one,
// $chat:room, as chat.$.room.
function routingKey(channel) {
  const colon = channel.indexOf(':');
  if (colon > 0 && channel.startsWith('$')) {
    return `${channel.slice(1, colon)}.$.${channel.slice(colon + 1)}`;
  }
  return colon < 0 ? `_.${channel}` : `${channel.slice(0, colon)}.${channel.slice(colon + 1)}`;
}

// Rejects if the event may not have arrived: then send it again under the same id.
async function publish(channel, payload, { messageId, traceparent }) {
  const connection = await amqp.connect(process.env.AMQP_URL);
  try {
    const amqpChannel = await connection.createConfirmChannel();
    amqpChannel.publish('warren.publish', routingKey(channel), Buffer.from(JSON.stringify(payload)), {
      contentType: 'application/json',
      persistent: true, // survives a restart of the broker
      messageId, // sent twice under one id, it is delivered once
      headers: traceparent ? { traceparent } : {},
    });
    await amqpChannel.waitForConfirms();
  } finally {
    await connection.close();
  }
}

async function main() {
  const [channel, payload] = [process.argv[2], JSON.parse(process.argv[3])];
  const messageId = process.env.MESSAGE_ID || randomUUID();
  await publish(channel, payload, { messageId, traceparent: process.env.TRACEPARENT });
  console.log(`published to ${channel} as ${messageId}`);
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
