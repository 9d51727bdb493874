import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { type Upstream, rawUpstream } from './upstream.ts';

/** A Consul that does what the test says: what a real one does only on its worst days. */
export interface FakeConsul extends AsyncDisposable {
  readonly server: Upstream;
  /** What was asked, with its query. */
  readonly asked: string[];
  /** Answers of `/v1/health/service/api` as they are now; held questions are answered when it is set. */
  set(ports: readonly number[], index: number): void;
  /** Answers every question from now on, held ones too; undefined: as before. */
  misbehave(how: ((request: IncomingMessage, response: ServerResponse) => void) | undefined): void;
}

export async function fakeConsul(create: (listener: RequestListener) => Server = createServer): Promise<FakeConsul> {
  let ports: readonly number[] = [];
  let index = 1;
  let bad: ((request: IncomingMessage, response: ServerResponse) => void) | undefined;
  const held = new Set<() => void>();
  const asked: string[] = [];
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    if (bad !== undefined) return bad(request, response);
    const { pathname } = new URL(request.url!, 'http://x');
    const body = pathname.startsWith('/v1/health/service/api')
      ? ports.map((port) => ({
          Node: { Node: 'n', Address: '127.0.0.1', Datacenter: 'dc1' },
          Service: { ID: `api-${port}`, Service: 'api', Address: '', Port: port, Weights: { Passing: 1, Warning: 1 } },
          Checks: [],
        }))
      : pathname === '/v1/catalog/services'
        ? { consul: [], api: [] }
        : [];
    response.writeHead(200, { 'content-type': 'application/json', 'x-consul-index': String(index), 'x-consul-knownleader': 'true' });
    response.end(JSON.stringify(body));
  };
  const server = await rawUpstream((request, response) => {
    asked.push(request.url!);
    const since = new URL(request.url!, 'http://x').searchParams.get('index');
    if (bad !== undefined || since === null || Number(since) !== index) return answer(request, response);
    const go = (): void => {
      held.delete(go);
      answer(request, response);
    };
    held.add(go);
    response.on('close', () => held.delete(go));
  }, create);
  const release = (): void => {
    for (const go of held) go();
  };
  return {
    server,
    asked,
    set: (next, at) => {
      ports = next;
      index = at;
      release();
    },
    misbehave: (how) => {
      bad = how;
      if (how !== undefined) release();
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
