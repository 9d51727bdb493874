import { describe, expect, it } from 'vitest';
import { celFault } from './cel.ts';

describe('CEL', () => {
  it.each([
    'request.url_path',
    'response.code >= 400',
    'response.code >= 500 || response.code == 0',
    "connection.mtls && request.url_path.contains('v1beta3')",
    "has(request.headers['x-user'])",
    "has(upstream_peer.workload) ? upstream_peer.workload : 'unknown'",
    'upstream_peer.namespace',
    "upstream_peer.labels['app'].value",
    "filter_state['wasm.upstream_peer']",
    'string(destination.port)',
    "'v1'",
    "request.headers['x'] in ['a', 'b']",
    "request.duration > duration('500ms')",
    'xds.cluster_name',
  ])('%s is an expression', (expression) => expect(celFault(expression)).toBeUndefined());

  it.each([
    ['response.code >== 400', /Unexpected character: =/],
    ['(response.code', /Expected RPAREN/],
    ["request.method == 'GET", /Unterminated string/],
    ['a ? b', /Expected COLON/],
    ['', /./],
    [`'${'a'.repeat(20_000)}'`, /longer than 16384/],
    ['('.repeat(8000), /./],
  ])('%j is none', (expression, fault) => expect(celFault(expression)).toMatch(fault));

  it('tells what was written, what is wrong, and what to write, on one line each', () => {
    expect(celFault('response.code >==\n 400')?.split('\n')).toEqual([
      '"response.code >== 400" is not a CEL expression: Unexpected character: =',
      "write such as request.method, response.code >= 400, or 'a text' in quotes",
    ]);
  });
});
