import { type Clock, type EndedCall, type MeshEvent, type Observer, type RouteObserver, silentRoute, systemClock } from '@inmesh/core';
import type { AccessLogFormat, AccessLogRule, Workload } from '@inmesh/policy';
import { hostname as machine } from 'node:os';
import { compileExpression } from '../cel/expression.ts';
import { type CallInfo, type TraceIds, traceOfCall } from '../facts.ts';
import type { Writer } from './batch.ts';
import { compileFormat, type Format } from './format.ts';
import type { FormatTools } from './operators.ts';
import { Otel } from './otel.ts';
import { Sinks } from './sinks.ts';
import { writerOf as systemWriterOf } from './writers.ts';

export interface AccessLogOptions {
  /** Who this process is. */
  readonly workload: Workload;
  /** For names of endpoints' certificates. Default `cluster.local`. */
  readonly trustDomain?: string;
  /** Hears of lines that were lost, and of formats and filters that mean nothing (`log.failed`). Default: a warning of the process. */
  readonly onEvent?: (event: MeshEvent) => void;
  /** %TRACE_ID% and the context of OpenTelemetry's records. Default: the trace the request says it belongs to (`traceparent`). */
  readonly traceOf?: (call: EndedCall) => TraceIds | undefined;
  readonly clock?: Clock;
  /** Default: files, appended to, and the process's own streams. */
  readonly writerOf?: (path: string) => Writer;
}

export interface AccessLogs extends Observer {
  /** Resolves when the last lines are written. */
  close(): Promise<void>;
}

type Log = (call: EndedCall, info: CallInfo, endedAt: number) => void;

/**
 * Access logs as the policy asks for them (`telemetry.accessLogs` of the model: Telemetry and MeshConfig), of calls made and received. A
 * rule is compiled once per policy; where there is none a call costs nothing.
 */
export function accessLogs({
  workload,
  trustDomain = 'cluster.local',
  onEvent = warn,
  traceOf = traceOfCall,
  clock = systemClock,
  writerOf = systemWriterOf,
}: AccessLogOptions): AccessLogs {
  const lost =
    (log: string) =>
    (dropped: number, reason: string): void =>
      onEvent({ type: 'log.failed', log, reason, dropped });
  const sinks = new Sinks(clock, writerOf, lost);
  const otel = new Otel(async () => import('@opentelemetry/api'), lost('opentelemetry'));
  const tools: FormatTools = { workload, trustDomain, clock, hostname: machine(), environment: process.env, traceOf };
  /** A policy names the same rules on each of its routes. */
  const compiled = new WeakMap<AccessLogRule, Log>();
  const told = new Set<string>();

  const refused = (rule: AccessLogRule, error: unknown): void => {
    const reason = (error as Error).message;
    if (told.has(reason) || told.size >= MOST_TOLD) return;
    told.add(reason);
    lost(rule.provider)(0, reason);
  };

  /** A format that means nothing is told, and Istio's own is used: a line too many is better than none. */
  const formatOf = (rule: AccessLogRule, format: AccessLogFormat): Format => {
    try {
      return compileFormat(format, tools);
    } catch (error) {
      refused(rule, error);
      return compileFormat(format.kind === 'text' ? { ...format, format: null } : { ...format, fields: null }, tools);
    }
  };

  const write = (rule: AccessLogRule): Log => {
    const { sink } = rule;
    if (sink.kind === 'file') {
      const format = formatOf(rule, sink.format);
      const batch = sinks.get(sink.path);
      return (call, info, endedAt) => batch.add(format(call, info, endedAt));
    }
    try {
      return otel.compile(sink, tools);
    } catch (error) {
      refused(rule, error);
      return otel.compile({ ...sink, body: '', attributes: {} }, tools);
    }
  };

  const logOf = (rule: AccessLogRule): Log => {
    const log = write(rule);
    if (rule.filter === null) return log;
    try {
      const passes = compileExpression(rule.filter, { trustDomain, clock });
      return (call, info, endedAt) => {
        if (passes(call, info, workload) === true) log(call, info, endedAt);
      };
    } catch (error) {
      // As an expression that fails for each call.
      refused(rule, error);
      return () => {};
    }
  };

  const observe = (info: CallInfo): RouteObserver => {
    const logs = info.telemetry.accessLogs.map((rule) => {
      // Named again, by this policy, too.
      if (rule.sink.kind === 'file') sinks.get(rule.sink.path);
      let log = compiled.get(rule);
      if (log === undefined) compiled.set(rule, (log = logOf(rule)));
      return log;
    });
    if (logs.length === 0) return silentRoute;
    return {
      ended: (call) => {
        const endedAt = clock.wall();
        for (const log of logs) log(call, info, endedAt);
      },
    };
  };

  return {
    route: observe,
    inbound: observe,
    event: (event) => {
      if (event.type === 'policy.applied') sinks.applied();
    },
    close: async () => {
      await Promise.all([sinks.close(), otel.close()]);
    },
  };
}

/** Reasons that are kept, so that each is told once. */
const MOST_TOLD = 100;

function warn(event: MeshEvent): void {
  if (event.type === 'log.failed') process.emitWarning(`inmesh: access log ${event.log}: ${event.reason}`, { code: 'INMESH_ACCESS_LOG' });
}
