import { DEFAULT_TELEMETRY, type InboundModel, type JwtRule, type Model, OPEN_INBOUND } from '@inmesh/policy';
import { testSettings } from './settings.ts';
import type { Call } from '../call.ts';
import type { Exchange, LocalAnswer, Reply, Transport } from '../exchange.ts';
import { NO_EDITS } from '../call.ts';
import { MeshError } from '../errors.ts';
import type { Handler } from '../handler.ts';
import type { Mesh } from '../mesh.ts';
import type { Claims } from '../peer.ts';
import type { TokenOutcome, TokenVerifiers } from '../ports/tokens.ts';
import { testWorkload } from './cluster.ts';

/** A model of a workload that calls nobody, with Istio's defaults. */
export function testModel(inbound: Partial<InboundModel> = {}, settings: Partial<Model['settings']> = {}): Model {
  return {
    workload: testWorkload(),
    inbound: { ...OPEN_INBOUND, ...inbound },
    settings: testSettings(settings),
    services: [],
    hosts: [],
    clusters: [],
    peers: [],
    telemetry: DEFAULT_TELEMETRY,
    objectives: [],
  };
}

/** Tokens of `https://issuer` in `Authorization: Bearer …`, for any audience, taken from the request when verified. */
export function testJwtRule(fields: Partial<JwtRule> = {}): JwtRule {
  return {
    resource: 'RequestAuthentication default/tokens',
    issuer: 'https://issuer',
    audiences: [],
    keys: { kind: 'discovery' },
    locations: [{ in: 'header', name: 'authorization', prefix: 'Bearer ' }],
    outputPayloadToHeader: null,
    outputClaimToHeaders: [],
    forwardOriginalToken: false,
    timeoutMs: 5000,
    spaceDelimitedClaims: [],
    ...fields,
  };
}

export interface TestTokens extends TokenVerifiers {
  /** Every token that was to be verified, in order. */
  readonly asked: string[];
  /** Verifiers made, and closed. */
  readonly counts: { made: number; closed: number };
}

/** Believes the tokens it is given, under the first rule of the place, and no others; `scope` is split as a real verifier does. `later`: it must look into each first. */
export function testTokens(believed: Readonly<Record<string, Claims>>, { later = false }: { readonly later?: boolean } = {}): TestTokens {
  const asked: string[] = [];
  const counts = { made: 0, closed: 0 };
  const judge = (token: string, rules: readonly JwtRule[]): TokenOutcome => {
    asked.push(token);
    const original = Object.hasOwn(believed, token) ? believed[token]! : undefined;
    const [rule] = rules;
    if (original === undefined || rule === undefined) return { ok: false, status: 401, reason: 'Jwt verification fails' };
    const { scope } = original;
    const claims = typeof scope === 'string' ? { ...original, scope: scope.split(' ') } : original;
    return { ok: true, rule, claims, original, payload: `payload-of-${token}` };
  };
  return {
    asked,
    counts,
    prepare: () => {
      counts.made += 1;
      return {
        verify: (token, rules) => (later ? Promise.resolve(judge(token, rules)) : judge(token, rules)),
        close: () => void (counts.closed += 1),
      };
    },
  };
}

export interface TestProgram extends Transport<string> {
  /** What came through to the program, as the filters left it. */
  readonly received: readonly Exchange[];
  /** Answers the mesh gave itself. */
  readonly answers: readonly LocalAnswer[];
}

/** The program behind an inbound stack: it says `yours` with status 200 to all that comes through. */
export function testProgram(): TestProgram {
  const received: Exchange[] = [];
  const answers: LocalAnswer[] = [];
  const reply = (value: string, status: number, headers: readonly (readonly [string, string])[] = []): Reply<string> => ({
    value,
    status,
    grpcStatus: -1,
    endpoint: undefined,
    header: (name) => headers.find(([key]) => key === name)?.[1],
    discard: () => {},
  });
  return {
    received,
    answers,
    attempt: (exchange) => {
      received.push(exchange);
      return Promise.resolve(reply('yours', 200));
    },
    answer: (_exchange, local) => {
      answers.push(local);
      return reply(typeof local.body === 'string' ? local.body : '', local.status, local.headers);
    },
  };
}

/** The bottom of an inbound stack: hands the call to the program. */
export const toProgram: Handler = (exchange, transport) => transport.attempt(exchange, undefined);

/** What a server does at its edge: runs a call on the stack of the port its connection came to, and ends its life. */
export async function receiveCall(mesh: Mesh, call: Call, program: TestProgram = testProgram()): Promise<Reply<string>> {
  const routed = mesh.receive(call.peer!.connection.localPort);
  const life = mesh.life(routed, call);
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
  let reply: Reply<string>;
  try {
    reply = await routed.handler(exchange, program);
  } catch (error) {
    if (!MeshError.is(error)) throw error;
    reply = program.answer(exchange, mesh.refusal(error, life));
  }
  life.end(reply.status, reply.grpcStatus, mesh.now());
  return reply;
}
