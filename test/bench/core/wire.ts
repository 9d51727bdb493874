/** The two ends of a call without a socket: calls to send, and a transport that answers at once. */
import {
  type Call,
  type Endpoint,
  type Exchange,
  type LocalAnswer,
  type Mesh,
  MeshError,
  NO_EDITS,
  type Placement,
  type Reply,
  type Transport,
} from '@inmesh/core';

export class BenchCall implements Call {
  readonly protocol = 'http';
  readonly scheme = 'http';
  readonly authority = 'echo.example.com';
  readonly host: string;
  readonly port = 80;
  readonly method = 'GET';
  readonly path: string;
  readonly query = '';
  readonly replayable = true;
  readonly sourceIp = undefined;

  constructor(path: string, host = 'echo.example.com') {
    this.path = path;
    this.host = host;
  }

  header(): string | undefined {
    return undefined;
  }

  headerValues(): readonly string[] {
    return [];
  }
}

class BenchReply implements Reply<undefined> {
  readonly value = undefined;
  readonly status = 200;
  readonly grpcStatus = -1;
  readonly endpoint: Endpoint;

  constructor(endpoint: Endpoint) {
    this.endpoint = endpoint;
  }

  header(): string | undefined {
    return undefined;
  }

  discard(): void {}
}

/** Answers 200 in the same moment. One Promise per attempt, as any transport needs. */
class InstantTransport implements Transport<undefined> {
  attempt(_exchange: Exchange, placement: Placement): Promise<Reply<undefined>> {
    placement.responded(200, -1);
    placement.ended(undefined);
    return Promise.resolve(new BenchReply(placement.endpoint));
  }

  answer(_exchange: Exchange, local: LocalAnswer): never {
    throw new Error(`the bench never expects an answer of the mesh itself: ${local.message}`);
  }
}

const instant = new InstantTransport();

/** One call from its beginning to its end, as a transport drives it. */
export async function callOnce(mesh: Mesh, call: Call): Promise<void> {
  const routed = mesh.find(call);
  const life = mesh.life(routed);
  const exchange: Exchange = {
    call,
    life,
    attempt: 0,
    tried: [],
    edits: NO_EDITS,
    hashKey: undefined,
    attemptTimeoutMs: 0,
    avoidPriorities: [],
  };
  const reply = await routed.handler(exchange, instant);
  life.end(reply.status, reply.grpcStatus, mesh.now());
}

/** A call that stays open until told to end: for policies that are swapped under it. */
export function openCall(mesh: Mesh, call: Call): { end(): void } {
  const routed = mesh.find(call);
  const life = mesh.life(routed);
  const exchange: Exchange = {
    call,
    life,
    attempt: 0,
    tried: [],
    edits: NO_EDITS,
    hashKey: undefined,
    attemptTimeoutMs: 0,
    avoidPriorities: [],
  };
  let open: Placement | undefined;
  const waiting: Transport<undefined> = {
    attempt: (_exchange, placement) => {
      open = placement;
      return new Promise(() => {});
    },
    answer: (refused, local) => instant.answer(refused, local),
  };
  void routed.handler(exchange, waiting);
  return {
    end: () => {
      open?.ended(new MeshError('CANCELLED', 'the bench ends its call'));
      life.end(0, -1, mesh.now());
    },
  };
}
