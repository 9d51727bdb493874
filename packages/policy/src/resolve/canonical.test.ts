import { expect, it } from 'vitest';
import { canonicalRevision, canonicalService } from './canonical.ts';

it('calls a workload by the first of Istio’s labels that is there, else by its name, and says by which', () => {
  const labels: Record<string, string> = { 'service.istio.io/canonical-name': 'a', 'app.kubernetes.io/name': 'b', app: 'c' };
  expect(canonicalService(labels, 'w')).toEqual({ value: 'a', label: 'service.istio.io/canonical-name' });
  delete labels['service.istio.io/canonical-name'];
  expect(canonicalService(labels, 'w')).toEqual({ value: 'b', label: 'app.kubernetes.io/name' });
  labels['app.kubernetes.io/name'] = '';
  expect(canonicalService(labels, 'w')).toEqual({ value: 'c', label: 'app' });
  expect(canonicalService({}, 'w')).toEqual({ value: 'w', label: '' });
});

it('tells its revision in the same way, else latest', () => {
  const labels: Record<string, string> = { 'service.istio.io/canonical-revision': '1', 'app.kubernetes.io/version': '2', version: '3' };
  expect(canonicalRevision(labels)).toEqual({ value: '1', label: 'service.istio.io/canonical-revision' });
  delete labels['service.istio.io/canonical-revision'];
  expect(canonicalRevision(labels).value).toBe('2');
  delete labels['app.kubernetes.io/version'];
  expect(canonicalRevision(labels).value).toBe('3');
  expect(canonicalRevision({})).toEqual({ value: 'latest', label: '' });
});
