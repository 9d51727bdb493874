/** What a request needs beside its path. */
export interface Credentials {
  /** The `authorization` header, or none. */
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: {
    /** PEM; undefined: the system's roots. */
    readonly ca?: string;
    readonly cert?: string;
    readonly key?: string;
    readonly servername?: string;
    readonly rejectUnauthorized?: boolean;
  };
}

/** An API server, and how it is asked. */
export interface Access {
  readonly server: URL;
  /** Where it was found, for messages. */
  readonly from: string;
  /** Namespace of this process, or of the context. */
  readonly namespace: string;
  /** Asked before every request, so that tokens and certificates rotate. */
  credentials(): Promise<Credentials>;
}
