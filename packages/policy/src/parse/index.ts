import { analyze } from '../analyzers/index.ts';
import type { Metadata, Parsed, Resource, SourceText } from '../document.ts';
import type { Problem } from '../problem.ts';
import { labelOf } from '../resolve/order.ts';
import { nearest } from '../schema/nearest.ts';
import { clip } from '../schema/scalars.ts';
import { checkAnnotations } from './annotations.ts';
import { checkBody, checkMetadata } from './body.ts';
import { Findings, printPath, type Finding } from './finding.ts';
import { fingerprint } from './fingerprint.ts';
import { standing } from './groups.ts';
import { metadataSchema, SERVER_SET } from './metadata.ts';
import type { Locate, Place } from './place.ts';
import { read } from './read.ts';

type Path = readonly (string | number)[];
type Plain = Readonly<Record<string, unknown>>;

/** One object of a text that may be a resource, and where it stands. */
interface Candidate {
  readonly value: unknown;
  readonly file: string;
  /** From the root of the text's document, such as items[3]. */
  readonly base: Path;
  readonly locate: Locate;
  /** Of a typed list: what its items are if they do not say. */
  readonly apiVersion?: string;
  readonly kind?: string;
}

/**
 * Texts → one checked document, or everything that is wrong with them. Never throws.
 *
 * YAML with several documents, JSON, and lists of either are opened. `status` and what the API server sets is ignored; so
 * are kinds of other API groups, which are counted.
 */
export function parse(sources: readonly SourceText[]): Parsed {
  const problems = new Problems();
  const skipped: Record<string, number> = {};
  const resources: Resource[] = [];
  const places = new Map<Resource, Candidate>();
  const first = new Map<string, Candidate>();

  for (const source of sources) {
    const { values, problems: found } = read(source);
    for (const { finding, line, column } of found) problems.add('', finding, source.file, { line, column });
    for (const { value, locate } of values)
      for (const candidate of open({ value, file: source.file, base: [], locate }, problems)) {
        const resource = judge(candidate, problems, skipped);
        if (resource === undefined) continue;
        const name = nameOf(resource);
        const twin = first.get(name);
        if (twin !== undefined) {
          if (source.yields === true) continue;
          const place = twin.locate(twin.base);
          problems.at(candidate, name, {
            code: 'INM0007',
            severity: 'error',
            path: ['metadata', 'name'],
            message: `${name} is declared twice`,
            hint: `it stands in ${twin.file}:${place.line} too; rename or remove one`,
          });
          continue;
        }
        first.set(name, candidate);
        places.set(resource, candidate);
        resources.push(resource);
      }
  }

  // Lints look at resources together; of a document with holes they would say what is not so.
  if (!problems.failed)
    analyze(resources, (resource, finding) => {
      const candidate = places.get(resource);
      if (candidate !== undefined) problems.at(candidate, nameOf(resource), finding);
    });
  if (problems.failed) return { ok: false, problems: problems.list() };
  return { ok: true, document: { resources, fingerprint: fingerprint(resources), skipped, problems: problems.list() } };
}

/** As `labelOf`; what has no namespace is named without one. */
const nameOf = (resource: Pick<Resource, 'kind' | 'metadata'>): string =>
  resource.metadata.namespace === '' ? `${resource.kind} ${resource.metadata.name}` : labelOf(resource);

/** The problems of all texts, with their places. */
class Problems {
  readonly #found = new Findings<Problem>();

  get failed(): boolean {
    return this.#found.failed;
  }

  add(resource: string, finding: Finding, file: string, place: Place): void {
    const { code, severity, path, message, hint } = finding;
    this.#found.push({ code, severity, resource, path: printPath(path), message, hint, file, ...place });
  }

  at({ file, base, locate }: Candidate, resource: string, finding: Finding): void {
    const place = this.#found.room(finding.severity) ? locate([...base, ...finding.path], finding.atKey) : { line: 1, column: 1 };
    this.add(resource, finding, file, place);
  }

  /** What a resource has beyond what it lists. */
  unlisted(count: number): void {
    this.#found.unlisted += count;
  }

  list(): readonly Problem[] {
    const { list, unlisted, failed } = this.#found;
    if (unlisted === 0) return list;
    const message = `${unlisted} more problems are not listed`;
    const { file, line, column } = list.at(-1) ?? { file: '', line: 1, column: 1 };
    return [
      ...list,
      {
        code: 'INM0009',
        severity: failed ? 'error' : 'warning',
        resource: '',
        path: '',
        message,
        hint: 'repair those first',
        file,
        line,
        column,
      },
    ];
  }
}

const DEEPEST_LIST = 4;

/** The objects of a value: itself, or what a list holds. */
function* open(candidate: Candidate, problems: Problems): Generator<Candidate> {
  const { value, base } = candidate;
  const fields = isPlain(value) ? value : {};
  const kind = fields['kind'];
  const items = Array.isArray(value) ? value : typeof kind === 'string' && kind.endsWith('List') ? (fields['items'] ?? []) : undefined;
  if (items === undefined) return yield candidate;
  const path = Array.isArray(value) ? base : [...base, 'items'];
  const refuse = (message: string): void =>
    problems.at({ ...candidate, base: path }, '', { code: 'INM0003', severity: 'error', path: [], message, hint: '' });
  if (!Array.isArray(items)) return refuse('items is not a list');
  if (path.filter((step) => typeof step === 'number').length >= DEEPEST_LIST) return refuse('lists of lists of lists');
  const typed =
    typeof kind === 'string' && kind !== 'List'
      ? { kind: kind.slice(0, -'List'.length), ...(typeof fields['apiVersion'] === 'string' && { apiVersion: fields['apiVersion'] }) }
      : {};
  for (const [index, item] of items.entries())
    yield* open({ ...candidate, ...typed, value: item as unknown, base: [...path, index] }, problems);
}

/** What stands beside the body of a kind that has no spec. */
const HEAD: ReadonlySet<string> = new Set(['apiVersion', 'kind', 'metadata', 'status']);

/** One object → a resource, or its problems. */
function judge(candidate: Candidate, problems: Problems, skipped: Record<string, number>): Resource | undefined {
  const { value } = candidate;
  if (!isPlain(value)) {
    problems.at(candidate, '', {
      code: 'INM0003',
      severity: 'error',
      path: [],
      message: 'not a resource, which is a map with apiVersion, kind and metadata',
      hint: '',
    });
    return undefined;
  }
  const apiVersion = value['apiVersion'] ?? candidate.apiVersion;
  const kindName = value['kind'] ?? candidate.kind;
  for (const [field, given] of [
    ['apiVersion', apiVersion],
    ['kind', kindName],
  ] as const) {
    if (typeof given === 'string' && given !== '') continue;
    problems.at(candidate, '', {
      code: 'INM0003',
      severity: 'error',
      path: [field],
      message: given === undefined || given === null ? `not a resource: ${field} is missing` : `not a resource: ${field} is not a text`,
      hint: 'every resource begins with apiVersion and kind',
    });
  }
  if (typeof apiVersion !== 'string' || typeof kindName !== 'string' || apiVersion === '' || kindName === '') return undefined;

  const metadata = isPlain(value['metadata']) ? value['metadata'] : {};
  const raw = {
    name: typeof metadata['name'] === 'string' ? metadata['name'] : '',
    namespace: typeof metadata['namespace'] === 'string' ? metadata['namespace'] : 'default',
  };
  const tell = (name: string, finding: Omit<Finding, 'path'> & { readonly path?: Path }): void =>
    problems.at(candidate, name, { path: [], ...finding });
  const label = `${clip(kindName)} ${clip(raw.namespace)}/${clip(raw.name)}`;

  const found = standing(apiVersion, kindName);
  switch (found.is) {
    case 'foreign':
      skipped[found.name] = (Object.hasOwn(skipped, found.name) ? (skipped[found.name] ?? 0) : 0) + 1;
      return undefined;
    case 'later':
      tell(label, {
        code: 'INM0005',
        severity: 'warning',
        path: ['kind'],
        message: `${kindName} is not honoured yet: ${found.why}`,
        hint: '',
      });
      return undefined;
    case 'unknown': {
      const guess = nearest(kindName, found.known);
      tell(label, {
        code: 'INM0004',
        // A rule that keeps callers out must not be lost for its spelling.
        severity: found.guards ? 'error' : 'warning',
        path: ['kind'],
        message: `${clip(apiVersion)} knows no kind ${clip(kindName)}; the resource is left out`,
        hint: guess === undefined ? (found.known.length === 0 ? '' : `its kinds are ${found.known.join(', ')}`) : `did you mean ${guess}?`,
      });
      return undefined;
    }
    case 'version':
      tell(label, {
        code: 'INM0006',
        severity: 'error',
        path: ['apiVersion'],
        message: `${kindName} has no version ${clip(apiVersion)}`,
        hint: `write ${found.kind.group === '' ? '' : `${found.kind.group}/`}${found.kind.versions[0]}`,
      });
      return undefined;
    case 'ours':
  }

  const { kind } = found;
  const findings = new Findings();
  const about = readMetadata(value['metadata'], kind.clusterScoped, findings);
  const body = kind.body === 'spec' ? bodyOfSpec(value, kind.open, findings) : without(value, HEAD);
  const known: Metadata = about ?? { ...raw, labels: {}, annotations: {}, createdAt: 0 };
  const spec = checkBody(kind, body, known, findings);
  if (about !== undefined) checkAnnotations(kind.kind, about, findings);
  if (kind.notHonoured !== null)
    findings.push({
      code: 'INM0005',
      severity: 'info',
      path: ['kind'],
      message: `${kind.kind} is checked but not honoured yet: ${kind.notHonoured}`,
      hint: '',
    });

  const name = about === undefined ? label : nameOf({ kind: kind.kind, metadata: about });
  for (const finding of findings.list) problems.at(candidate, name, finding);
  problems.unlisted(findings.unlisted);
  if (about === undefined || findings.failed) return undefined;
  const origin = { file: candidate.file, line: candidate.locate(candidate.base).line };
  return { apiVersion, kind: kind.kind, metadata: about, spec, origin };
}

function readMetadata(given: unknown, clusterScoped: boolean, findings: Findings): Metadata | undefined {
  const input = isPlain(given) ? without(given, SERVER_SET) : (given ?? {});
  const output = checkMetadata(metadataSchema, input, findings);
  if (output === undefined) return undefined;
  const { name, namespace, labels, annotations, creationTimestamp } = output;
  return { name, namespace: clusterScoped ? '' : namespace, labels, annotations, createdAt: creationTimestamp ?? 0 };
}

/** `spec` of a resource; other fields beside it are judged here. */
function bodyOfSpec(value: Plain, open: boolean, findings: Findings): unknown {
  const FIELDS = ['apiVersion', 'kind', 'metadata', 'spec', 'status'];
  if (!open)
    for (const field of Object.keys(value)) {
      if (FIELDS.includes(field)) continue;
      const guess = nearest(field, FIELDS);
      findings.push({
        code: 'INM0008',
        severity: 'error',
        path: [field],
        message: `unknown field "${clip(field)}"`,
        hint:
          guess === undefined ? 'known here: apiVersion, kind, metadata, spec; is it meant to stand in spec?' : `did you mean ${guess}?`,
        atKey: true,
      });
    }
  return value['spec'] ?? {};
}

function without(value: Plain, keys: ReadonlySet<string>): Plain {
  const rest: Record<string, unknown> = {};
  for (const key of Object.keys(value))
    if (!keys.has(key)) Object.defineProperty(rest, key, { value: value[key], enumerable: true, configurable: true, writable: true });
  return rest;
}

const isPlain = (value: unknown): value is Plain => typeof value === 'object' && value !== null && !Array.isArray(value);
