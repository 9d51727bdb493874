import { fromBinary, fromJson, toBinary, toJson, type JsonObject } from '@bufbuild/protobuf';
import { StructSchema } from '@bufbuild/protobuf/wkt';
import { testWorkload } from '@inmesh/core/testing';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { metadataExchange } from './peer-metadata.ts';

const web = testWorkload({ name: 'web-v1', namespace: 'shop', cluster: 'east', labels: { app: 'web', version: 'v1', secret: 'x' } });
const exchange = metadataExchange(web);

/** As somebody else's library of protobuf writes it. */
const written = (told: JsonObject): string => Buffer.from(toBinary(StructSchema, fromJson(StructSchema, told))).toString('base64');

it('says who we are as a Struct that others can read, and no label that nobody asks for', () => {
  const [name, value] = exchange.header;
  expect(name).toBe('x-envoy-peer-metadata');
  expect(toJson(StructSchema, fromBinary(StructSchema, Buffer.from(value, 'base64')))).toEqual({
    NAMESPACE: 'shop',
    WORKLOAD_NAME: 'web-v1',
    CLUSTER_ID: 'east',
    LABELS: { app: 'web', version: 'v1' },
  });
});

it('reads what a sidecar says, whatever else it says', () => {
  const told = {
    NAME: 'web-7f9-x', OWNER: 'kubernetes://apis/apps/v1/namespaces/shop/deployments/web', APP_CONTAINERS: ['web'], PORT: 80, READY: true, NOTHING: null,
    NAMESPACE: 'shop', WORKLOAD_NAME: 'web-v1', CLUSTER_ID: 'east', LABELS: { app: 'web', version: 'v1', nested: { deep: 'x' } },
  }; // prettier-ignore
  expect(exchange.read(written(told))).toEqual({
    workload: 'web-v1',
    namespace: 'shop',
    cluster: 'east',
    labels: { app: 'web', version: 'v1' },
  });
  expect(exchange.read(written({}))).toEqual({ workload: '', namespace: '', cluster: '', labels: {} });
});

it('yields one object for equal texts, so that nobody is looked up twice', () => {
  expect(exchange.read(exchange.header[1])).toBe(exchange.read(exchange.header[1]));
});

it('is not filled up by strangers for those who come later', () => {
  const own = metadataExchange(web);
  for (let stranger = 0; stranger < 5000; stranger += 1) own.read(written({ WORKLOAD_NAME: `w${stranger}` }));
  expect(own.read(own.header[1])).toBe(own.read(own.header[1]));
});

it('reads nothing in what is none, and what is too long to be honest', () => {
  for (const text of ['CgE=', Buffer.alloc(40, 0xff).toString('base64'), 'A'.repeat(5000)]) expect(exchange.read(text)).toBeUndefined();
});

it('agrees with a library of protobuf about any text by any name, and never throws', () => {
  const word = fc.string({ unit: 'grapheme', maxLength: 300 });
  fc.assert(
    fc.property(word, word, fc.dictionary(fc.string({ minLength: 1, maxLength: 20 }), word, { maxKeys: 5 }), (namespace, name, labels) => {
      const text = written({ NAMESPACE: namespace, WORKLOAD_NAME: name, LABELS: labels });
      const read = metadataExchange(web).read(text);
      if (text.length <= 4096) expect(read).toEqual({ workload: name, namespace, cluster: '', labels: { ...labels } });
    }),
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => void exchange.read(Buffer.from(bytes).toString('base64'))));
});
