// Answer clients' calls of one method: plain amqplib, nothing of Warren's.
//
//     AMQP_URL=amqp://user:password@host:5672/vhost node answer.js tools:shout
//
// A client's rpc('tools:shout', {text: 'hello'}) is answered {text: 'HELLO', user: '42'}. Run it as often
// as you like: calls are shared out. Without it, callers are told at once that there is no such method.

'use strict';

const amqp = require('amqplib');

const AT_A_TIME = 10;

// The method itself. Throws for what it cannot use.
function shout(data, user) {
  return { text: data.text.toUpperCase(), user };
}

async function serve(method) {
  const connection = await amqp.connect(process.env.AMQP_URL);
  const amqpChannel = await connection.createChannel();
  // Gone with the last who consumes it; from then on callers are told that there is no such method.
  const queue = `app.${method}`;
  await amqpChannel.assertQueue(queue, { durable: true, autoDelete: true });
  await amqpChannel.bindQueue(queue, 'warren.rpc', `app.${method}`);
  await amqpChannel.prefetch(AT_A_TIME);
  await amqpChannel.consume(queue, (call) => {
    if (!call) return process.exit(1); // somebody deleted the queue
    const { correlationId, replyTo, headers } = call.properties;
    const reply = { correlationId, headers: {} };
    let answer = null;
    try {
      answer = shout(JSON.parse(call.content), headers['x-warren-user']);
    } catch (error) {
      // The client's SDK raises this as an error of its own; 400 to 1999 are yours to give meaning to.
      reply.headers = { 'x-warren-error-code': 400, 'x-warren-error-message': 'no text' };
    }
    amqpChannel.publish('warren.replies', replyTo, Buffer.from(JSON.stringify(answer)), reply);
    amqpChannel.ack(call);
  });
  console.log(`answering ${method}`);
}

serve(process.argv[2]).catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
