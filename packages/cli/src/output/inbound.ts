import type { InboundExplanation } from '@inmesh/core';
import type { Paint } from './paint.ts';
import { pad, printable, wrap } from './words.ts';

/** What becomes of a call to a workload, for people: the verdict, who calls, what the program will see, and the reasons in order. */
export function printInbound(given: InboundExplanation, paint: Paint, columns: number): string {
  const explanation = printable(given);
  const { principal, requestPrincipal, mtls, request, audited, dryRun } = explanation;
  const rows: readonly (readonly [name: string, lines: readonly string[]])[] = [
    ['caller', [principal ?? 'nobody in particular (no mutual TLS)']],
    ['token of', requestPrincipal === null ? [] : [requestPrincipal]],
    ['mutual TLS', [mtls]],
    ['program sees', request === null ? [] : [`${request.method} ${request.path} for ${request.authority}`]],
    ['audited by', audited],
    ['in dry run', dryRun],
  ];
  const shown = rows.filter(([, lines]) => lines.length > 0);
  const margin = Math.max(...shown.map(([name]) => name.length)) + 4;
  const table = shown.flatMap(([name, lines]) =>
    lines.map((line, index) => `  ${paint('dim', pad(index === 0 ? name : '', margin - 2))}${wrap(line, columns, margin)}`),
  );
  const why = explanation.why.map((reason, index) => {
    const number = `${index + 1}.`.padStart(4);
    return `${paint('dim', number)} ${wrap(reason, columns, number.length + 1)}`;
  });
  return `${[[wrap(verdict(explanation, paint), columns, 2)], table, [paint('bold', 'why'), ...why]].map((lines) => lines.join('\n')).join('\n\n')}\n`;
}

function verdict({ decision, status: http, grpcStatus, policy, resource, body }: InboundExplanation, paint: Paint): string {
  const status = grpcStatus ?? http;
  const by = policy ?? resource;
  if (decision === 'allow') {
    const answer = status === null ? 'goes to the program' : `answered ${status} by the mesh itself`;
    return `${paint('green', '✔')} ${paint('bold', 'allowed')}: ${answer}${by === null ? '' : `, by ${by}`}`;
  }
  const answer =
    status === null ? 'the connection is closed without an answer' : `${paint('bold', String(status))} ${body ?? ''}`.trimEnd();
  return `${paint('red', '✖')} ${paint('bold', 'denied')}: ${answer}${by === null ? '' : `, by ${by}`}`;
}
