// OpenShiftAddress: the checks that come before any BuildConfig is looked at, shared by configs and by paths that lead to none.

struct OpenShiftAddress {
    let name: String
    let hook: OpenShiftPath.Hook
    let type: BuildHookType

    struct Refusal: Error { let ruling: Ruling }

    static func read(_ request: InboundRequest, _ profile: OpenShiftProfile) -> Result<OpenShiftAddress, Refusal> {
        func refuse(_ cause: VerifyCause, _ answer: Answer) -> Result<OpenShiftAddress, Refusal> {
            .failure(Refusal(ruling: Ruling(.refused(cause), answer: answer)))
        }
        let path: OpenShiftPath
        do throws(OpenShiftPath.Failure) {
            path = try OpenShiftPath(request.path, query: request.query)
        } catch {
            switch error {
            case .malformed:
                return refuse(.pathMalformed, OpenShiftStatus.badRequest("the path has a broken escape"))
            case .elsewhere: return refuse(.pathMalformed, OpenShiftStatus.notFound)
            }
        }
        guard request.method == "POST" else { return refuse(.methodNotAllowed, OpenShiftStatus.methodNotAllowed) }
        if asksForDryRun(request.query) {
            return refuse(.parametersWrong, OpenShiftStatus.badRequest("dryRun is not supported"))
        }
        // The API server goes on with the sub-path, and so with the secret.
        guard let hook = path.hook(profile) else {
            return refuse(.pathMalformed, OpenShiftStatus.badRequest("unexpected hook subpath"))
        }
        guard let type = BuildHookType.allCases.first(where: { hook.type.elementsEqual($0.rawValue.utf8) }) else {
            return refuse(.pathMalformed, OpenShiftStatus.unknownType(hook.type, secret: hook.secret))
        }
        return .success(OpenShiftAddress(name: path.name, hook: hook, type: type))
    }

    /// Whether there is a parameter of that name, whatever its value.
    private static func asksForDryRun(_ query: String?) -> Bool {
        guard let query else { return false }
        return query.utf8.split(separator: UInt8(ascii: "&")).contains { pair in
            let name = PercentDecoded(pair.prefix { $0 != UInt8(ascii: "=") }, plusIsSpace: true)
            return name?.bytes.elementsEqual("dryRun".utf8) ?? false
        }
    }
}
