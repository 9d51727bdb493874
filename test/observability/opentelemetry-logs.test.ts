import { testCall, testEndedCall } from '@inmesh/core/testing';
import { DEFAULT_TELEMETRY } from '@inmesh/policy';
import { accessLogs } from '@inmesh/telemetry';
import { logs, type LogRecord, ROOT_CONTEXT, trace } from '@opentelemetry/api';
import { afterEach, expect, it } from 'vitest';

afterEach(() => logs.disable());

const workload = { name: 'web', namespace: 'default', labels: {}, locality: { region: '', zone: '', subzone: '' }, network: '', cluster: '', serviceAccount: '', node: '' }; // prettier-ignore
const info = {
  side: 'client',
  cluster: 'outbound|80||reviews',
  service: 'reviews',
  serviceName: 'reviews',
  serviceNamespace: 'default',
  route: 'default',
  protocol: 'http',
  telemetry: {
    ...DEFAULT_TELEMETRY.client,
    accessLogs: [
      {
        provider: 'otel',
        sink: {
          kind: 'otel',
          logName: 'mesh',
          body: '%REQ(:METHOD)% %RESPONSE_CODE%',
          attributes: { code: '%RESPONSE_CODE%', none: '%REQ(X-NONE)%' },
        },
        filter: 'response.code >= 400',
      },
    ],
  },
} as const;

function collected(): { readonly name: string; readonly record: LogRecord }[] {
  const records: { readonly name: string; readonly record: LogRecord }[] = [];
  logs.setGlobalLoggerProvider({ getLogger: (name) => ({ emit: (record) => void records.push({ name, record }), enabled: () => true }) });
  return records;
}

const failed = testEndedCall({
  call: testCall({ headers: { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' } }),
  status: 503,
  ms: 40,
});

it('hands a record a call to the SDK of the program: body, attributes, and the trace it belongs to', async () => {
  const records = collected();
  const observer = accessLogs({ workload });
  const route = observer.route(info);
  route.ended(testEndedCall({ call: testCall() }));
  const before = Date.now();
  route.ended(failed);
  await observer.close();
  expect(records).toHaveLength(1);
  const [{ name, record }] = records as [(typeof records)[0]];
  expect(name).toBe('mesh');
  expect(record).toMatchObject({ body: 'GET 503', attributes: { code: 503 }, severityNumber: 9, severityText: 'INFO' });
  expect(Object.keys(record.attributes!)).toEqual(['code']);
  expect(Math.abs(Number(record.timestamp) - (before - 40))).toBeLessThan(1000);
  expect(trace.getSpanContext(record.context ?? ROOT_CONTEXT)).toMatchObject({
    traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
    spanId: '00f067aa0ba902b7',
  });
});

it('an SDK may be registered later: until then nothing is done, and nothing fails', async () => {
  const observer = accessLogs({ workload });
  const route = observer.route(info);
  await observer.close();
  route.ended(failed);
  const records = collected();
  route.ended(failed);
  expect(records).toHaveLength(1);
});
