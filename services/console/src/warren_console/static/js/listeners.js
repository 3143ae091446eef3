// A list of callbacks: how the models tell the panels that something changed.

export class Listeners {
  #callbacks = [];

  add(callback) {
    this.#callbacks.push(callback);
  }

  notify(...facts) {
    for (const callback of this.#callbacks) callback(...facts);
  }
}
