// A signed record and the public key that signed it, as records travel on the wire and rest on disk.

export interface SignedRecord {
  readonly bytes: Uint8Array;
  /** DER SubjectPublicKeyInfo of the signer; its SHA-256 stands inside `bytes`. */
  readonly signerSpki: Uint8Array;
}
