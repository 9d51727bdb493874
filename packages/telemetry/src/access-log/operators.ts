import { type Clock, type EndedCall, grpcStatusName, MeshError, printFlags } from '@inmesh/core';
import type { Workload } from '@inmesh/policy';
import { compileExpression, printValue } from '../cel/expression.ts';
import {
  callerUri,
  type CallInfo,
  calledUri,
  connectionOf,
  httpProtocol,
  localAddress,
  portOf,
  remoteAddress,
  requestHeader,
  responseHeader,
  startOf,
  type TraceIds,
  upstreamAddress,
  withoutPort,
} from '../facts.ts';
import { compileStartTime } from './start-time.ts';

/** What formats are compiled for: the process, and what it is asked for besides the call. */
export interface FormatTools {
  readonly workload: Workload;
  readonly trustDomain: string;
  readonly clock: Clock;
  readonly hostname: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly traceOf: (call: EndedCall) => TraceIds | undefined;
}

/** A fact of a call as JSON holds it; undefined: the call has none, which text writes as `-`. `endedAt`: milliseconds since 1970. */
export type Reader = (call: EndedCall, info: CallInfo, endedAt: number) => string | number | boolean | undefined;

type Operator = (argument: string | undefined, tools: FormatTools) => Reader;

/** `%REQ(X?Y):Z%` by its parts; as Envoy reads them (formatter/substitution_formatter.cc). Throws POLICY_INVALID for what it does not know. */
export function compileOperator(name: string, argument: string | undefined, tools: FormatTools): Reader {
  const operator = OPERATORS[name];
  if (operator === undefined) throw new MeshError('POLICY_INVALID', `there is no command operator %${name}%`);
  return operator(argument, tools);
}

const plain =
  (read: Reader): Operator =>
  () =>
    read;
/** A fact nobody in the process knows. */
const unknown: Operator = plain(() => undefined);
const filled = (text: string | undefined): string | undefined => (text === '' ? undefined : text);

/** `X?Y`: Y where there is no X. */
function headers(
  argument: string | undefined,
  read: (call: EndedCall, name: string) => string | undefined,
): (call: EndedCall) => string | undefined {
  if (argument === undefined || argument === '')
    throw new MeshError('POLICY_INVALID', 'a header operator names a header, as in %REQ(X-USER)%');
  const [first = '', second] = argument
    .toLowerCase()
    .split('?')
    .map((name) => (name === 'path' ? ':path' : name));
  return second === undefined ? (call) => read(call, first) : (call) => read(call, first) ?? read(call, second);
}

/** Istio's own format asks for `X-ENVOY-ORIGINAL-PATH?:PATH`: nothing rewrites here, the path is what was asked for. */
const requestHeaders: Operator = (argument) => headers(argument, requestHeader);

const whole = (read: (call: EndedCall) => number): Operator => plain((call) => Math.floor(read(call)));

/** `DeadlineExceeded` (CAMEL_STRING, the default), `DEADLINE_EXCEEDED` (SNAKE_STRING) or `4` (NUMBER). */
const grpcStatus: Operator = (argument = 'CAMEL_STRING') => {
  const print = GRPC_FORMS[argument.toUpperCase()];
  if (print === undefined)
    throw new MeshError('POLICY_INVALID', `%GRPC_STATUS(${argument})%: only CAMEL_STRING, SNAKE_STRING and NUMBER are known`);
  return ({ grpcStatus: status }) => (status < 0 ? undefined : print(status));
};

const GRPC_FORMS: Readonly<Record<string, (status: number) => string | number>> = {
  NUMBER: (status) => status,
  SNAKE_STRING: (status) => (status > 16 ? String(status) : grpcStatusName(status)),
  CAMEL_STRING: (status) => (status > 16 ? String(status) : camel(grpcStatusName(status))),
};

/** Envoy's words (common/grpc/status.cc). */
function camel(name: string): string {
  if (name === 'OK') return name;
  if (name === 'CANCELLED') return 'Canceled';
  return name.toLowerCase().replaceAll(/(?:^|_)([a-z])/g, (_match, letter: string) => letter.toUpperCase());
}

const constant =
  (value: (argument: string | undefined, tools: FormatTools) => string | undefined): Operator =>
  (argument, tools) => {
    const text = value(argument, tools);
    return () => text;
  };

const traced =
  (take: (ids: TraceIds) => string): Operator =>
  (_argument, { traceOf }) =>
  (call) => {
    const ids = traceOf(call);
    return ids === undefined ? undefined : take(ids);
  };

const ofCaller: Operator =
  (_argument, { workload, trustDomain }) =>
  (call, info) =>
    callerUri(call, info, workload, trustDomain);
const ofCalled: Operator =
  (_argument, { workload, trustDomain }) =>
  (call, info) =>
    calledUri(call, info, workload, trustDomain);
const on =
  (side: CallInfo['side'], operator: Operator): Operator =>
  (argument, tools) => {
    const read = operator(argument, tools);
    return (call, info, endedAt) => (info.side === side ? read(call, info, endedAt) : undefined);
  };

/** Command operators of Envoy's access logs ("Access logging", envoy docs). Those it has and we do not are refused. */
export const OPERATORS: Readonly<Record<string, Operator>> = {
  START_TIME: (argument = '') => {
    const print = compileStartTime(argument);
    return (call, _info, endedAt) => print(startOf(call, endedAt));
  },
  REQ: requestHeaders,
  REQ_WITHOUT_QUERY: (argument, tools) => {
    const read = requestHeaders(argument, tools);
    return (call, info, endedAt) => (read(call, info, endedAt) as string | undefined)?.split('?', 1)[0];
  },
  RESP: (argument) => headers(argument, responseHeader),
  TRAILER: unknown,
  PROTOCOL: plain(httpProtocol),
  RESPONSE_CODE: plain(({ status }) => status),
  RESPONSE_CODE_DETAILS: plain(({ call, details }) => (call?.protocol === 'tcp' ? undefined : filled(details))),
  CONNECTION_TERMINATION_DETAILS: plain(({ call, details }) => (call?.protocol === 'tcp' ? filled(details) : undefined)),
  RESPONSE_FLAGS: plain(({ flags }) => printFlags(flags)),
  GRPC_STATUS: grpcStatus,
  GRPC_STATUS_NUMBER: (_argument, tools) => grpcStatus('NUMBER', tools),
  UPSTREAM_TRANSPORT_FAILURE_REASON: plain(({ failure }) => filled(failure)),
  BYTES_RECEIVED: plain(({ requestBytes }) => requestBytes),
  BYTES_SENT: plain(({ responseBytes }) => responseBytes),
  DOWNSTREAM_WIRE_BYTES_RECEIVED: plain(({ requestHead, requestBytes }) => requestHead + requestBytes),
  DOWNSTREAM_WIRE_BYTES_SENT: plain(({ responseHead, responseBytes }) => responseHead + responseBytes),
  DOWNSTREAM_HEADER_BYTES_RECEIVED: plain(({ requestHead }) => requestHead),
  DOWNSTREAM_HEADER_BYTES_SENT: plain(({ responseHead }) => responseHead),
  UPSTREAM_WIRE_BYTES_SENT: plain(({ requestHead, requestBytes }) => requestHead + requestBytes),
  UPSTREAM_WIRE_BYTES_RECEIVED: plain(({ responseHead, responseBytes }) => responseHead + responseBytes),
  UPSTREAM_HEADER_BYTES_SENT: plain(({ requestHead }) => requestHead),
  UPSTREAM_HEADER_BYTES_RECEIVED: plain(({ responseHead }) => responseHead),
  DURATION: whole(({ ms }) => ms),
  UPSTREAM_REQUEST_ATTEMPT_COUNT: plain(({ attempts }) => attempts),
  UPSTREAM_HOST: plain(upstreamAddress),
  UPSTREAM_REMOTE_ADDRESS: plain(upstreamAddress),
  UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: plain((call, info) => withoutPort(upstreamAddress(call, info))),
  UPSTREAM_REMOTE_PORT: plain((call, info) => portOf(upstreamAddress(call, info))),
  UPSTREAM_CLUSTER: plain((_call, { cluster }) => filled(cluster)),
  UPSTREAM_CLUSTER_RAW: plain((_call, { cluster }) => filled(cluster)),
  UPSTREAM_LOCAL_ADDRESS: unknown,
  UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: unknown,
  UPSTREAM_LOCAL_PORT: unknown,
  DOWNSTREAM_LOCAL_ADDRESS: plain(localAddress),
  DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: plain((call) => withoutPort(localAddress(call))),
  DOWNSTREAM_LOCAL_PORT: plain((call) => portOf(localAddress(call))),
  DOWNSTREAM_REMOTE_ADDRESS: plain(remoteAddress),
  DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: plain((call) => withoutPort(remoteAddress(call))),
  DOWNSTREAM_REMOTE_PORT: plain((call) => portOf(remoteAddress(call))),
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS: plain((call) => connectionOf(call)?.remoteAddress),
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT: plain((call) => connectionOf(call)?.remoteAddress),
  REQUESTED_SERVER_NAME: plain((call) => connectionOf(call)?.sni),
  ROUTE_NAME: plain((_call, { route }) => filled(route)),
  DOWNSTREAM_PEER_URI_SAN: on('server', ofCaller),
  DOWNSTREAM_LOCAL_URI_SAN: on('server', ofCalled),
  UPSTREAM_PEER_URI_SAN: on('client', ofCalled),
  UPSTREAM_LOCAL_URI_SAN: on('client', ofCaller),
  // A SPIFFE certificate has no subject.
  DOWNSTREAM_PEER_SUBJECT: unknown,
  DOWNSTREAM_LOCAL_SUBJECT: unknown,
  UPSTREAM_PEER_SUBJECT: unknown,
  UPSTREAM_LOCAL_SUBJECT: unknown,
  TRACE_ID: traced(({ traceId }) => traceId),
  SPAN_ID: traced(({ spanId }) => spanId),
  HOSTNAME: constant((_argument, { hostname }) => filled(hostname)),
  ENVIRONMENT: constant((name = '', { environment }) => filled(environment[name])),
  CEL: (expression = '', { workload, trustDomain, clock }) => {
    const evaluate = compileExpression(expression, { trustDomain, clock });
    return (call, info) => printValue(evaluate(call, info, workload));
  },
};
