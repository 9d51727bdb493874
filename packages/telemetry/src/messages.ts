import { head, sample } from './exposition.ts';

/** Messages between two sides; `labels` are all of them. */
export interface MessageSeries {
  readonly labels: string;
  requests: number;
  responses: number;
}

/** istio_request_messages_total and istio_response_messages_total: messages of gRPC, by who called whom and nothing else, as Istio has them. */
export class MessageMetrics {
  readonly #series = new Map<string, MessageSeries>();

  /** Time series exposed. */
  get size(): number {
    return this.#series.size * MessageMetrics.cost;
  }

  /** Time series of a label set. */
  static readonly cost = 2;

  find(labels: string): MessageSeries | undefined {
    return this.#series.get(labels);
  }

  create(labels: string): MessageSeries {
    const series = { labels, requests: 0, responses: 0 };
    this.#series.set(labels, series);
    return series;
  }

  /** '' before the first message. */
  text(): string {
    if (this.#series.size === 0) return '';
    let requests = head('istio_request_messages_total', 'counter', 'Messages of gRPC from clients to servers.');
    let responses = head('istio_response_messages_total', 'counter', 'Messages of gRPC from servers to clients.');
    for (const { labels, requests: sent, responses: received } of this.#series.values()) {
      requests += sample('istio_request_messages_total', labels, sent);
      responses += sample('istio_response_messages_total', labels, received);
    }
    return requests + responses;
  }
}
