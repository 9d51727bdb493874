import type { HeaderOp } from '@inmesh/policy';
import type { Call } from '../call.ts';
import type { Peer } from '../peer.ts';

/** A call as the filters below see it after headers were taken away or put there: what a client wrote under our names is not ours. */
export class EditedCall implements Call {
  readonly #call: Call;
  readonly #values: ReadonlyMap<string, readonly string[]>;

  constructor(call: Call, ops: readonly HeaderOp[]) {
    this.#call = call;
    const values = new Map<string, readonly string[]>();
    for (const op of ops) {
      const before = values.get(op.name) ?? call.headerValues(op.name);
      values.set(op.name, op.op === 'remove' ? [] : op.op === 'set' ? [op.value] : [...before, op.value]);
    }
    this.#values = values;
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
    const values = this.#values.get(name);
    if (values === undefined) return this.#call.header(name);
    return values.length === 0 ? undefined : values.join(',');
  }

  headerValues(name: string): readonly string[] {
    return this.#values.get(name) ?? this.#call.headerValues(name);
  }
}
