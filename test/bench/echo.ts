/** One unary method whose messages are bytes: what is measured is the call, not a codec. */
const bytes = { serialize: (message: Buffer) => message, deserialize: (message: Buffer) => message };

export const ECHO = {
  Say: {
    path: '/bench.Echo/Say',
    requestStream: false,
    responseStream: false,
    requestSerialize: bytes.serialize,
    requestDeserialize: bytes.deserialize,
    responseSerialize: bytes.serialize,
    responseDeserialize: bytes.deserialize,
  },
} as const;
