// A receiver of webhooks that verifies each one as an application does.
import { createServer } from 'node:http';

export class Receiver {
  #events = []; // those that nobody has taken yet
  #waiting = [];
  #verify;
  #server = createServer((request, response) => {
    const parts = [];
    request.on('data', part => parts.push(part));
    request.on('end', () => {
      const received = new Request('https://app.callmine.test/webhooks', {
        method: 'POST', headers: request.headers, body: Buffer.concat(parts),
      });
      this.#verify(received).then(
        event => { this.#keep(event); response.writeHead(204).end(); },
        error => { this.#keep({ type: 'unverified', data: { error: String(error) } }); response.writeHead(400).end(); },
      );
    });
  });

  /** Takes the function that verifies a request and returns its event. */
  constructor(verify) {
    this.#verify = verify;
  }

  /** Returns the URL to which webhooks must be sent. */
  async listen() {
    await new Promise(resolve => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${this.#server.address().port}/`;
  }

  close() {
    this.#server.closeAllConnections();
    return new Promise(resolve => this.#server.close(resolve));
  }

  /** Waits for an event about an object, and returns its data. Each event is returned once. */
  async next(type, id) {
    const fits = event => event.type === type && event.data.id === id;
    const at = this.#events.findIndex(fits);
    if (at >= 0) {
      return this.#events.splice(at, 1)[0].data;
    }
    return new Promise(resolve => this.#waiting.push({ fits, resolve }));
  }

  /** Returns the events that nobody has waited for. */
  get rest() {
    return this.#events;
  }

  #keep(event) {
    const at = this.#waiting.findIndex(one => one.fits(event));
    if (at < 0) {
      this.#events.push(event);
    } else {
      this.#waiting.splice(at, 1)[0].resolve(event.data);
    }
  }
}
