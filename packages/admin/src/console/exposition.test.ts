import { expect, it } from 'vitest';
import { parseExposition } from './exposition.ts';

const TEXT = `# HELP istio_requests_total Calls.
# TYPE istio_requests_total counter
istio_requests_total{reporter="source",destination_service="reviews.shop",path="a\\"b\\\\c\\nd,e={}"} 12
istio_requests_total{reporter="source"} 1.5e3 1700000000000
istio_request_duration_milliseconds_bucket{le="+Inf"} +Inf
process_cpu_seconds_total 7
istio_requests_total{reporter="source"} what
nonsense
`;

it('reads what the console knows, and leaves the rest', () => {
  expect(parseExposition(TEXT).map(({ name, labels, value }) => [name, labels, value])).toEqual([
    ['istio_requests_total', { reporter: 'source', destination_service: 'reviews.shop', path: 'a"b\\c\nd,e={}' }, 12],
    ['istio_requests_total', { reporter: 'source' }, 1500],
    ['istio_request_duration_milliseconds_bucket', { le: '+Inf' }, Infinity],
  ]);
});

it('knows a series again by the text of its labels', () => {
  const [first] = parseExposition('istio_requests_total{a="1"} 1');
  const [later] = parseExposition('istio_requests_total{a="1"} 2');
  expect(later!.key).toBe(first!.key);
});

it('reads nothing out of nothing', () => expect(parseExposition('')).toEqual([]));
