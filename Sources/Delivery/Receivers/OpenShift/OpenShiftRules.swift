// OpenShiftRules: one BuildConfig's webhooks (build.openshift.io/v1, sub-resource `webhooks`), verified here and carried out by a call
// of `instantiate`.
//
// Order as in the API server: method, dryRun, form of the path (400), type (404), config, triggers and secret (401, one text for
// all), then headers, body and ref. The answer to what is built is 200 without a body: the Build comes later.

public struct OpenShiftRules: ReceiverRules {
    public let facts: BuildConfigFacts
    private let profile: OpenShiftProfile
    public let mode: OpenShiftMode
    private let dedupeWindowSeconds: UInt32?

    public init(_ facts: BuildConfigFacts, settings: OpenShiftSettings = OpenShiftSettings()) {
        self.facts = facts
        profile = facts.profile ?? settings.profile
        mode = facts.mode ?? settings.mode
        dedupeWindowSeconds = settings.dedupeWindowSeconds
    }

    public func rule(on request: InboundRequest, now: UInt64) -> Ruling {
        let address: OpenShiftAddress
        switch OpenShiftAddress.read(request, profile) {
        case .failure(let refusal): return refusal.ruling
        case .success(let found): address = found
        }
        guard let match = match(address) else {
            return Ruling(
                .refused(.tokenWrong), answer: OpenShiftStatus.unauthorized(type: address.type, name: facts.name))
        }
        if facts.options.contains(.verifySignature),
            let cause = HookSignature.trouble(address.type, request, match.secret)
        {
            return Ruling(
                .refused(cause), answer: OpenShiftStatus.unauthorized(type: address.type, name: facts.name))
        }
        let verdict = BuildHook(request: request, facts: facts, profile: profile).verdict(address.type)
        var ruling: Ruling
        var masked = [CredentialPlace.path(address.hook.secretRange)]
        switch verdict {
        case .build(let plan):
            ruling = Ruling(.accepted, answer: Answer(200))
            let dropsEnv = !plan.env.isEmpty && !match.allowsEnv
            switch mode {
            // The record tells whether `env` may be used by what is left of the path: without the type it may not.
            case .instantiate where dropsEnv:
                masked = [.path(address.hook.secretRange.lowerBound..<address.hook.typeRange.upperBound)]
            case .instantiate: break
            // The API server looks at `env` itself, by the trigger whose secret it is given.
            case .relay:
                let mark = StoredHook(type: address.type, trigger: match.trigger, dropsEnv: dropsEnv)
                masked += mark.masked(address.hook.typeRange.lowerBound).map { .path($0) }
            }
        case .ignored(let reason, let answer): ruling = Ruling(.ignored(reason), answer: answer)
        case .refused(let cause, let answer): ruling = Ruling(.refused(cause), answer: answer)
        }
        describe(&ruling, request, address.type)
        ruling.credentials = masked + HookCredentials.fields(of: request)
        return ruling
    }

    public func triggers(of request: InboundRequest, _ delivery: DeliveryFacts) -> Triggers {
        // The secret is gone from the path; the type is where it was, or gone as well.
        let stored = storedHook(request)
        let type = stored?.type
        let hook = BuildHook(request: request, facts: facts, profile: profile)
        switch hook.verdict(type ?? .generic) {
        case .build(var plan):
            let target = TargetReference(
                cluster: facts.cluster, apiVersion: BuildRequest.apiVersion, kind: "BuildConfig",
                namespace: facts.namespace, name: facts.name)
            if mode == .relay, let stored { return .actions([.openshiftRelay(target, type: stored.relayText)]) }
            if stored?.dropsEnv ?? true { plan.env = [] }
            let request = BuildRequest.json(name: facts.name, type: type ?? .generic, plan, delivery)
            return .actions([.openshiftBuild(target, buildRequest: request)])
        case .ignored(let reason, _): return .ignored(reason)
        // The config changed since the delivery was accepted.
        case .refused: return .ignored(.bodyUnusable)
        }
    }

    /// The first secret that a trigger of the type accepts.
    public func relaySecret(type: String) -> SecretBytes? {
        facts.triggers.lazy.filter { $0.type.rawValue == type }.compactMap(\.secrets.first).first
    }

    /// Where a relayed delivery goes: the webhook's type, and the present secret of the trigger that accepted it. nil: that trigger, or
    /// its secret, is gone, and with it the right to build. A secret that an earlier trigger has as well would reach that one instead.
    public func relay(_ hook: String) -> (type: String, secret: SecretBytes)? {
        guard let (type, number) = StoredHook.read(relayText: hook) else { return nil }
        let triggers = facts.triggers.filter { $0.type == type }
        guard triggers.indices.contains(number) else { return nil }
        let earlier = triggers.prefix(number).flatMap(\.secrets)
        guard let secret = triggers[number].secrets.first(where: { !earlier.contains($0) }) else { return nil }
        return (type.rawValue, secret)
    }

    private struct Match {
        /// As it was compared.
        let secret: SecretBytes
        let allowsEnv: Bool
        /// Its number among the triggers of the type.
        let trigger: Int
    }

    /// The first trigger, in the order of the object, whose secret is that of the path. All are compared, also after a match.
    private func match(_ address: OpenShiftAddress) -> Match? {
        var found: Match?
        var isEnded = false
        // What a record cannot name cannot be relayed.
        let isNamed = address.hook.typeRange.count == address.type.rawValue.utf8.count
        let countMax = mode == .relay ? (isNamed ? StoredHook.triggersMax : 1) : .max
        for (number, trigger) in facts.triggers.lazy.filter({ $0.type == address.type }).prefix(countMax).enumerated() {
            var secrets = [trigger.inlineSecret].compactMap { $0 }
            var endsSearch = false
            switch trigger.referencedSecret {
            case .found(let secret): secrets.append(secret)
            // The API server ends the search, which locks a team out for a mistake in another trigger.
            case .unreadable: endsSearch = profile == .upstream
            case .missing, .none: break
            }
            for secret in secrets {
                for candidate in [secret] + trimmed(secret) {
                    let isRight = candidate.matches(address.hook.secret)
                    if isRight, found == nil, !isEnded {
                        found = Match(
                            secret: candidate, allowsEnv: trigger.type == .generic && trigger.allowsEnv, trigger: number
                        )
                    }
                }
            }
            if endsSearch { isEnded = true }
        }
        return found
    }

    /// The secret without one line break at its end, where the config asks for it.
    private func trimmed(_ secret: SecretBytes) -> [SecretBytes] {
        guard facts.options.contains(.trimNewline), secret.bytes.last == 0x0a else { return [] }
        let rest = secret.bytes.dropLast()
        return [SecretBytes(Array(rest.last == 0x0d ? rest.dropLast() : rest))]
    }

    private func describe(_ ruling: inout Ruling, _ request: InboundRequest, _ type: BuildHookType) {
        switch type {
        case .github:
            let isGitea = request.field("x-gitea-event") != nil || request.field("x-github-event") == nil
            ruling.sender = isGitea ? .gitea : .github
            ruling.eventName = request.field("x-github-event") ?? request.field("x-gogs-event") ?? ""
            ruling.deliveryID = HookDeliveryID.of(request, HookDeliveryID.github)
        case .gitlab:
            ruling.sender = .gitlab
            ruling.eventName = request.field("x-gitlab-event") ?? ""
            ruling.deliveryID = HookDeliveryID.of(request, HookDeliveryID.gitlab)
        case .bitbucket:
            ruling.sender = .bitbucket
            ruling.eventName = request.field("x-event-key") ?? ""
            ruling.deliveryID = HookDeliveryID.of(request, HookDeliveryID.bitbucket)
        case .generic:
            ruling.sender = .generic
            let names = HookDeliveryID.github + HookDeliveryID.gitlab + ["x-request-uuid"]
            ruling.deliveryID = HookDeliveryID.of(request, names)
        }
        // The API server builds again what is delivered again.
        let window = dedupeWindowSeconds ?? (ruling.sender ?? .generic).dedupeWindowSeconds
        ruling.dedupeWindowSeconds = profile == .upstream ? 0 : window
    }

    private func storedHook(_ request: InboundRequest) -> StoredHook? {
        (try? OpenShiftPath(request.path, query: request.query))?.hook(profile).flatMap { StoredHook($0.type) }
    }
}
