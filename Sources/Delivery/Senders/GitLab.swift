// GitLab: the secret itself in `X-Gitlab-Token`. Compared in constant time over equal lengths; a wrong length costs the same
// comparison against the secret itself, so that time says only what the sender knows already.
//
// Source: docs.gitlab.com "Webhooks", section on the secret token.

internal import CCrypto
internal import HTTP

enum GitLab {
    static func prove(_ head: HeadView, secrets: SecretTable.Range, of table: SecretTable, isFlux: Bool) -> Proof {
        let (value, isRepeated) = head.first(.xGitlabToken)
        if isRepeated && !isFlux { return .refused(.tokenRepeated) }
        guard let value, value.count > 0 else { return .refused(.tokenMissing) }
        let token = unsafe head.bytes(value)
        var matched = false
        // Every secret is compared, also after a match.
        for index in secrets.start..<secrets.start + secrets.count {
            let secret = unsafe table.bytes(index)
            guard secret.count > 0 else { continue }
            let sameLength = secret.count == token.count
            let other = unsafe sameLength ? token : secret
            let equal = unsafe cc_equal(secret.baseAddress!, other.baseAddress!, secret.count) == 1
            if equal && sameLength { matched = true }
        }
        return matched ? .proven : .refused(.tokenWrong)
    }
}
