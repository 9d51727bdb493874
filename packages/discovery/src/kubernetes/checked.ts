import { parse, type Problem, type Resource, type SourceText } from '@inmesh/policy';
import type { KubeObject } from './informer.ts';

/** What an object of the cluster amounts to. */
export interface Checked {
  /** The resource as a text of a document; undefined: it is left out. */
  readonly text: SourceText | undefined;
  /** Undefined where there is no text, and for kinds that are not honoured. */
  readonly resource: Resource | undefined;
  readonly holds: keyof typeof HOLDS;
  /** What is wrong with it, a sentence; '' = nothing. */
  readonly problem: string;
}

/** What is obeyed in place of words that do not parse. */
const HOLDS = {
  itself: '',
  earlier: 'its version before holds',
  guard: 'until it is repaired it keeps out everybody it may concern',
  nothing: 'it is left out',
};

/** Written by tools, and large. */
const APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

/**
 * An object of an API server by itself, as each team's objects are checked there: what does not parse is left out of the document, and
 * nothing of the others is lost. `before`: what it was until now; while its new words do not parse, the old ones hold.
 */
export function check(apiVersion: string, kind: string, object: KubeObject, before?: Checked): Checked {
  const { namespace, name } = object.metadata;
  const file = `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`;
  const asIs = readAs(textOf(file, apiVersion, kind, object));
  if (asIs.problems.length === 0) return { ...asIs, holds: 'itself', problem: '' };
  const [{ path, message }] = asIs.problems as [Problem];
  const more = asIs.problems.length > 1 ? ` (and ${asIs.problems.length - 1} more)` : '';
  const says = (holds: keyof typeof HOLDS): Pick<Checked, 'holds' | 'problem'> => ({
    holds,
    problem: `${file}${path === '' ? '' : ` ${path}`}: ${message}${more}; ${HOLDS[holds]}`,
  });
  if (before?.holds === 'itself' || before?.holds === 'earlier') return { ...before, ...says('earlier') };
  const guard = guardOf(kind, object);
  if (guard === undefined) return { text: undefined, resource: undefined, ...says('nothing') };
  return { ...readAs(textOf(file, apiVersion, kind, guard)), ...says('guard') };
}

function readAs(text: SourceText): Pick<Checked, 'text' | 'resource'> & { readonly problems: readonly Problem[] } {
  const parsed = parse([text]);
  if (parsed.ok) return { text, resource: parsed.document.resources[0], problems: [] };
  return { text, resource: undefined, problems: parsed.problems.filter(({ severity }) => severity === 'error') };
}

function textOf(file: string, apiVersion: string, kind: string, object: KubeObject): SourceText {
  const { status: _status, metadata, ...body } = object;
  const { name, namespace, labels, annotations, creationTimestamp } = metadata as KubeObject['metadata'] & {
    readonly annotations?: Readonly<Record<string, string>>;
  };
  const { [APPLIED]: _applied, ...rest } = annotations ?? {};
  return {
    file,
    text: JSON.stringify({ ...body, apiVersion, kind, metadata: { name, namespace, labels, annotations: rest, creationTimestamp } }),
  };
}

/**
 * A rule that keeps callers out must not be lost for its spelling: where nothing earlier is known of it, it keeps out all whom it may
 * concern until it is repaired.
 */
function guardOf(kind: string, object: KubeObject): KubeObject | undefined {
  const strict: Readonly<Record<string, object>> = {
    AuthorizationPolicy: { action: 'DENY', rules: [{}] },
    PeerAuthentication: { mtls: { mode: 'STRICT' } },
  };
  if (!Object.hasOwn(strict, kind)) return undefined;
  const { name, namespace, creationTimestamp } = object.metadata;
  const metadata = { name, ...(namespace === undefined ? {} : { namespace }), creationTimestamp };
  const { spec } = object as { readonly spec?: { readonly selector?: { readonly matchLabels?: unknown } } };
  const labels = spec?.selector?.matchLabels;
  const readable =
    labels !== null && typeof labels === 'object' && Object.values(labels).every((value) => typeof value === 'string')
      ? { selector: { matchLabels: labels } }
      : {};
  return { metadata, spec: { ...readable, ...strict[kind] } };
}
