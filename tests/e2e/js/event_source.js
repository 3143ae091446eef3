// As much of a browser's EventSource as the SDK uses, for Node before version 22: by the rules of the HTML standard
// (server-sent events), without reconnecting, which the SDK does itself.

'use strict';

class EventSource {
  constructor(url) {
    this.onopen = this.onmessage = this.onerror = () => {};
    this.aborting = new AbortController();
    this.read(url).then(
      () => this.onerror(new Event('error')),
      () => this.onerror(new Event('error')),
    );
  }

  async read(url) {
    const response = await fetch(url, { headers: { Accept: 'text/event-stream' }, signal: this.aborting.signal });
    const type = response.headers.get('content-type') || '';
    if (response.status !== 200 || !type.startsWith('text/event-stream')) throw new Error(`no events: ${response.status}`);
    this.onopen(new Event('open'));
    const decoder = new TextDecoder();
    let rest = '';
    let data = [];
    for await (const part of response.body) {
      const lines = (rest + decoder.decode(part, { stream: true })).split(/\r\n|\n/);
      rest = lines.pop();
      for (const line of lines) {
        if (line.startsWith('data:')) data.push(line.slice(5).replace(/^ /, ''));
        if (line === '' && data.length) {
          this.onmessage(new MessageEvent('message', { data: data.join('\n') }));
          data = [];
        }
      }
    }
  }

  close() {
    this.aborting.abort();
  }
}

module.exports = { EventSource };
