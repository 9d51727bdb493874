/** What AuthorizationPolicies decided about calls to one port. `shadow`: what those in dry run would have, by action. */
export interface RbacView {
  readonly port: number;
  readonly allowed: number;
  readonly denied: number;
  /** undefined: no policy of that action is in dry run. */
  readonly shadow: { readonly [action in 'allow' | 'deny']: { readonly allowed: number; readonly denied: number } | undefined };
}

/** Counts of one port, as Envoy's RBAC filter keeps them. */
export class PortRbacStats {
  allowed = 0;
  denied = 0;
  readonly shadow: { allow: Verdicts | undefined; deny: Verdicts | undefined } = { allow: undefined, deny: undefined };

  decided(allowed: boolean): void {
    if (allowed) this.allowed += 1;
    else this.denied += 1;
  }

  /** What the policies of one action that are in dry run would have said. */
  shadowed(action: 'allow' | 'deny', allowed: boolean): void {
    const verdicts = (this.shadow[action] ??= { allowed: 0, denied: 0 });
    if (allowed) verdicts.allowed += 1;
    else verdicts.denied += 1;
  }
}

interface Verdicts {
  allowed: number;
  denied: number;
}

/** Of all ports of this process. Leased: a policy change keeps what was counted. */
export class RbacStats {
  readonly #ports = new Map<number, PortRbacStats>();

  at(port: number): PortRbacStats {
    let stats = this.#ports.get(port);
    if (stats === undefined) this.#ports.set(port, (stats = new PortRbacStats()));
    return stats;
  }

  view(): readonly RbacView[] {
    return [...this.#ports].map(([port, { allowed, denied, shadow }]) => ({
      port,
      allowed,
      denied,
      shadow: { allow: shadow.allow && { ...shadow.allow }, deny: shadow.deny && { ...shadow.deny } },
    }));
  }
}
