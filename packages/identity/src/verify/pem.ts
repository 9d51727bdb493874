/** DER of every block of this label in a PEM text (RFC 7468), in order. Text between blocks is allowed, a block that does not end is not. */
export function pemBlocks(text: string, label: 'CERTIFICATE' | 'X509 CRL'): readonly Uint8Array[] | string {
  const begins = text.split(`-----BEGIN ${label}-----`).length - 1;
  const blocks = [...text.matchAll(new RegExp(`-----BEGIN ${label}-----\\s+([A-Za-z0-9+/=\\s]*?)-----END ${label}-----`, 'g'))];
  if (blocks.length !== begins) return `a ${label} block is cut off or is not base64`;
  return blocks.map(([, body = '']) => Buffer.from(body, 'base64'));
}

/** PEM of DER blocks. */
export function toPem(blocks: readonly Uint8Array[], label: 'CERTIFICATE' | 'X509 CRL' | 'PRIVATE KEY'): string {
  return blocks
    .map(
      (der) =>
        `-----BEGIN ${label}-----\n${Buffer.from(der)
          .toString('base64')
          .replace(/.{64}(?=.)/g, '$&\n')}\n-----END ${label}-----\n`,
    )
    .join('');
}
