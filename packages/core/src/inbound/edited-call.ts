import type { HeaderOp } from '@inmesh/policy';
import type { Call } from '../call.ts';
import type { Peer } from '../peer.ts';

/** A call as the filters below see it after headers were taken away or put there: what a client wrote under our names is not ours. */
export class EditedCall implements Call {
  readonly #call: Call;
  readonly #ops: readonly HeaderOp[];

  constructor(call: Call, ops: readonly HeaderOp[]) {
    this.#call = call;
    this.#ops = ops;
  }

  get protocol(): Call['protocol'] {
    return this.#call.protocol;
  }

  get scheme(): string {
    return this.#call.scheme;
  }

  get authority(): string {
    return this.#call.authority;
  }

  get host(): string {
    return this.#call.host;
  }

  get port(): number {
    return this.#call.port;
  }

  get method(): string {
    return this.#call.method;
  }

  get path(): string {
    return this.#call.path;
  }

  get query(): string {
    return this.#call.query;
  }

  get replayable(): boolean {
    return this.#call.replayable;
  }

  get sourceIp(): string | undefined {
    return this.#call.sourceIp;
  }

  get peer(): Peer | undefined {
    return this.#call.peer;
  }

  header(name: string): string | undefined {
    if (!this.#touches(name)) return this.#call.header(name);
    const values = this.headerValues(name);
    return values.length === 0 ? undefined : values.join(',');
  }

  headerValues(name: string): readonly string[] {
    let values = this.#call.headerValues(name);
    for (const op of this.#ops) {
      if (op.name === name) values = op.op === 'remove' ? [] : op.op === 'set' ? [op.value] : [...values, op.value];
    }
    return values;
  }

  #touches(name: string): boolean {
    for (const op of this.#ops) if (op.name === name) return true;
    return false;
  }
}
