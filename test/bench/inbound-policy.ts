/** The policies of the server bench: twenty that a call is held against, and a member that takes mutual TLS. */

export const STRICT = `---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: default }
spec: { mtls: { mode: STRICT } }
`;

/** Twenty policies: denials of paths and callers that do not match, and one that allows. */
export function twentyPolicies(): string {
  const denials = Array.from(
    { length: 19 },
    (_, index) => `---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: no-${index}, namespace: default }
spec:
  action: DENY
  rules:
    - to: [{ operation: { methods: [DELETE], paths: [/admin/${index}/*] } }]
    - from: [{ source: { notNamespaces: [default], ipBlocks: [192.0.2.${index}] } }]
      to: [{ operation: { paths: ['/internal/{*}/${index}'] } }]
`,
  );
  return `${denials.join('')}---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: yes, namespace: default }
spec:
  action: ALLOW
  rules: [{ to: [{ operation: { methods: [GET] } }] }]
`;
}

/** A service on these ports whose members run as an account. */
export function takesMutualTls(ports: readonly number[]): string {
  return `---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: echo, namespace: default }
spec:
  hosts: [echo.example.com]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP }]
  endpoints: [${ports.map((port) => `{ address: 127.0.0.1, ports: { http: ${port} }, serviceAccount: echo }`).join(', ')}]
`;
}
