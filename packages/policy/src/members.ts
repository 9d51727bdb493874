import * as v from 'valibot';
import type { SourceText } from './document.ts';
import { checkBody } from './parse/body.ts';
import { Findings } from './parse/finding.ts';
import { NOBODY, parsePlain, sentence } from './parse/plain.ts';
import { read } from './parse/read.ts';
import { inmeshKind, type Check } from './kinds/kind.ts';
import { checkWorkloadEntry, workloadEntrySchema } from './kinds/workload-entry.ts';
import type { EndpointSpec, ServicePort } from './model.ts';
import { entryMember } from './resolve/service-entry.ts';
import { optional } from './schema/fields.ts';
import { oneOf } from './schema/scalars.ts';

const memberSchema = v.object({
  ...workloadEntrySchema.entries,
  health: optional(oneOf('healthy', 'draining', 'unhealthy'), 'draining: takes calls only while nobody else can; unhealthy: takes none.', {
    default: 'healthy',
  }),
});

/** A member of a service as lists outside the policy name it: the fields of a WorkloadEntry, and how it is. */
export type Member = v.InferOutput<typeof memberSchema>;

/** Lists by the host of their service, or all that is wrong with them, a sentence each. */
export type Members =
  | { readonly ok: true; readonly services: ReadonlyMap<string, readonly Member[]> }
  | { readonly ok: false; readonly problems: readonly string[] };

const checkMember = (
  member: Parameters<typeof checkWorkloadEntry>[0],
  path: readonly (string | number)[],
  report: Parameters<Check<unknown>>[1],
): void => {
  checkWorkloadEntry(member, path, report);
  if (member !== undefined && member.address === undefined && member.network !== undefined)
    report.error([...path, 'address'], 'the address is missing', 'nobody can be called without one');
};

const listsSchema = v.record(v.string(), v.array(memberSchema));

// Judged like a resource, so that people are told all at once, with places and remedies.
const lists = inmeshKind({
  kind: 'Members',
  summary: '',
  body: 'root',
  schema: listsSchema,
  checks: [
    (spec, report) => {
      for (const [host, members] of Object.entries(spec))
        for (const [index, member] of (members ?? []).entries()) checkMember(member, [host, index], report);
    },
  ],
});
const single = inmeshKind({
  kind: 'Member',
  summary: '',
  body: 'root',
  schema: memberSchema,
  checks: [(spec, report) => checkMember(spec, [], report)],
});

/**
 * Reads lists of members, in YAML or JSON: a map from the host of a service to a list. One service may stand in several texts.
 * Never throws.
 */
export function parseMembers(sources: readonly SourceText[]): Members {
  const services = new Map<string, readonly Member[]>();
  const problems: string[] = [];
  for (const source of sources) {
    const { values, problems: unreadable } = read(source);
    for (const { finding, line, column } of unreadable) problems.push(sentence(`${source.file}:${line}:${column}`, finding));
    for (const { value, locate } of values) {
      const findings = new Findings();
      const found = checkBody(lists, value, NOBODY, findings) as v.InferOutput<typeof listsSchema>;
      for (const finding of findings.list) {
        const { line, column } = locate(finding.path, finding.atKey);
        if (finding.severity === 'error') problems.push(sentence(`${source.file}:${line}:${column}`, finding));
      }
      if (findings.failed) continue;
      for (const [host, members] of Object.entries(found)) {
        const key = host.toLowerCase();
        services.set(key, [...(services.get(key) ?? []), ...members]);
      }
    }
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, services };
}

/** One member, as plain data; or what is wrong with it, a sentence each. Never throws. */
export function parseMember(
  value: unknown,
): { readonly ok: true; readonly member: Member } | { readonly ok: false; readonly problems: readonly string[] } {
  const parsed = parsePlain(single, value);
  return parsed.ok ? { ok: true, member: parsed.value } : parsed;
}

/**
 * A member as the endpoint of a service with these ports: a port of the member is named as the service's, or by its number; one it does
 * not name is the service's own.
 */
export function memberEndpoint(
  { health = 'healthy', ...entry }: Member,
  ports: readonly ServicePort[],
  { location, workload, namespace }: { readonly location: 'internal' | 'external'; readonly workload: string; readonly namespace: string },
): EndpointSpec | undefined {
  const own = entry.ports;
  const byNumber = ports.map(({ number, name }) => ({ number, name, targetPort: own[String(number)], protocol: 'TCP' as const }));
  const endpoint = entryMember(entry, byNumber, workload, namespace);
  if (endpoint === undefined) return undefined;
  return { ...endpoint, health, mtls: endpoint.mtls && location === 'internal' };
}
