/** Methods whose messages are bytes: what is measured is the call, not a codec. */
const method = <Request extends boolean, Response extends boolean>(name: string, requestStream: Request, responseStream: Response) => ({
  path: `/bench.Echo/${name}`,
  requestStream,
  responseStream,
  requestSerialize: (message: Buffer) => message,
  requestDeserialize: (message: Buffer) => message,
  responseSerialize: (message: Buffer) => message,
  responseDeserialize: (message: Buffer) => message,
});

export const ECHO = {
  Say: method('Say', false, false),
  /** As many messages as the request says. */
  Repeat: method('Repeat', false, true),
  /** One message for each that comes. */
  Chat: method('Chat', true, true),
} as const;
