import type { MetricProducer as SdkProducer } from '@opentelemetry/sdk-metrics';
import { fakeClock } from '@inmesh/core/testing';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { LabelSet, type MetricFamily } from '../exposition.ts';
import { metricProducer, type MetricProducer } from './producer.ts';

const clock = fakeClock();
const collected = (...families: MetricFamily[]) => metricProducer(() => Promise.resolve(families), { startedAt: 1500, clock }).collect();
const labels = new LabelSet({ a: 'b' });

describe('a metric producer', () => {
  it('is one of the SDK’s', () => {
    expectTypeOf<MetricProducer>().toExtend<SdkProducer>();
  });

  it('gives histograms whole, counters as sums, and leaves out families without samples', async () => {
    const { resourceMetrics, errors } = await collected(
      { name: 'h', type: 'histogram', help: 'how long', unit: 's', samples: [{ labels, bounds: [1, 2], counts: Float64Array.of(3, 0, 1), sum: 9 }] },
      { name: 'c_total', type: 'counter', help: '', samples: [{ labels, value: 4 }] },
      { name: 'envoy_c', type: 'counter', help: '', samples: [{ labels, value: 5 }] },
      { name: 'none', type: 'gauge', help: '', samples: [] },
    ); // prettier-ignore
    expect(errors).toEqual([]);
    const { metrics } = resourceMetrics.scopeMetrics[0]!;
    expect(metrics).toMatchObject([
      { descriptor: { name: 'h', unit: 's', description: 'how long' }, dataPointType: 0, dataPoints: [{ attributes: { a: 'b' }, startTime: [1, 500_000_000], value: { count: 4, sum: 9, buckets: { boundaries: [1, 2], counts: [3, 0, 1] } } }] },
      { descriptor: { name: 'c_total' }, dataPointType: 3, isMonotonic: true, dataPoints: [{ value: 4 }] },
      { descriptor: { name: 'envoy_c' }, dataPointType: 3, isMonotonic: false, dataPoints: [{ value: 5 }] },
    ]); // prettier-ignore
    expect(metrics).toHaveLength(3);
  });

  it('tells the reader what went wrong, instead of failing', async () => {
    const broken = metricProducer(() => Promise.reject(new Error('no prom-client')), { startedAt: 0, clock });
    expect((await broken.collect()).errors).toEqual([new Error('no prom-client')]);
  });
});
