// Discovery: which group serves a kind in which version under which plural (api-concepts, "Discovery API").
//
// `/api` and `/apis` name the groups and their versions, the preferred first; `/apis/<group>/<version>` names the
// resources. Answers are kept for minutes and asked for again when a kind is unknown, but an unknown kind is not asked
// for more often than every few seconds: ten thousand targets of a CRD that is not installed yet must not each do so.
// Equal questions that come while one is under way share its answer; one that is cancelled leaves it to the others. When a
// refresh fails, the old answer stays in use.

import Foundation

actor Discovery {
    private struct Kept<Value: Sendable> {
        var value: Value
        var at: ContinuousClock.Instant
    }
    /// group -> versions, preferred first.
    private typealias Groups = [String: [String]]
    /// kind -> resource.
    private typealias Kinds = [String: APIResource]

    private let kept: Duration
    private let missKept: Duration
    private var core: Kept<Groups>?
    private var groups: Kept<Groups>?
    private var kinds: [GroupVersion: Kept<Kinds>] = [:]
    private var groupsUnderWay: [Bool: Task<Result<Groups, KubernetesError>, Never>] = [:]
    private var kindsUnderWay: [GroupVersion: Task<Result<Kinds, KubernetesError>, Never>] = [:]

    init(secondsKept: Int, missSecondsKept: Int) {
        kept = .seconds(secondsKept)
        missKept = .seconds(missSecondsKept)
    }

    /// Makes the next question about `group` go to the server.
    func forget(group: String) {
        let stale = ContinuousClock.now - kept
        if group.isEmpty { core?.at = stale } else { groups?.at = stale }
        for key in kinds.keys where key.group == group { kinds[key]?.at = stale }
    }

    func resource(
        group: String, version: String?, kind: String, client: KubernetesClient
    ) async throws(KubernetesError) -> APIResource {
        for maxAge in [kept, missKept] {
            let versions = try await versions(of: group, maxAge: maxAge, client)
            let ordered =
                version.map { wanted in
                    versions.filter { $0 == wanted } + versions.filter { $0 != wanted }
                } ?? versions
            for version in ordered {
                let served = try await kinds(of: GroupVersion(group: group, version: version), maxAge: maxAge, client)
                if let found = served[kind] { return found }
            }
        }
        throw KubernetesError(
            call: KubernetesCall(verb: "find", group: group, resource: kind), cause: .kindNotServed)
    }

    func servedVersions(
        group: String, kind: String, client: KubernetesClient
    ) async throws(KubernetesError) -> [String] {
        var result: [String] = []
        for version in try await versions(of: group, maxAge: kept, client) {
            let served = try await kinds(of: GroupVersion(group: group, version: version), maxAge: kept, client)
            if served[kind] != nil { result.append(version) }
        }
        return result
    }

    private func versions(
        of group: String, maxAge: Duration, _ client: KubernetesClient
    ) async throws(KubernetesError) -> [String] {
        let isCore = group.isEmpty
        let old = isCore ? core : groups
        if let old, ContinuousClock.now - old.at < maxAge { return old.value[group] ?? [] }
        let task =
            groupsUnderWay[isCore]
            ?? Task {
                let result = await Self.fetchGroups(isCore: isCore, client)
                groupsUnderWay[isCore] = nil
                if case .success(let value) = result {
                    let fresh = Kept(value: value, at: .now)
                    if isCore { core = fresh } else { groups = fresh }
                }
                return result
            }
        groupsUnderWay[isCore] = task
        guard let result = await valueUnlessCancelled(task) else { throw Self.cancelled(isCore ? "/api" : "/apis") }
        switch result {
        case .success(let value): return value[group] ?? []
        case .failure(let error):
            guard let known = old?.value[group] else { throw error }
            return known
        }
    }

    private func kinds(
        of groupVersion: GroupVersion, maxAge: Duration, _ client: KubernetesClient
    ) async throws(KubernetesError) -> Kinds {
        let old = kinds[groupVersion]
        if let old, ContinuousClock.now - old.at < maxAge { return old.value }
        let task =
            kindsUnderWay[groupVersion]
            ?? Task {
                let result = await Self.fetchKinds(groupVersion, client)
                kindsUnderWay[groupVersion] = nil
                if case .success(let value) = result { kinds[groupVersion] = Kept(value: value, at: .now) }
                return result
            }
        kindsUnderWay[groupVersion] = task
        guard let result = await valueUnlessCancelled(task) else { throw Self.cancelled(groupVersion.path) }
        switch result {
        case .success(let value): return value
        case .failure(let error):
            guard let old else { throw error }
            return old.value
        }
    }

    private static func cancelled(_ path: String) -> KubernetesError {
        KubernetesError(
            call: KubernetesCall(verb: "get", group: "", resource: path), cause: .connection("cancelled"))
    }

    // The wire's shapes; members that we do not use are left out.
    private struct VersionsWire: Decodable { var versions: [String] }
    private struct GroupsWire: Decodable {
        struct Group: Decodable {
            struct Version: Decodable { var version: String }
            var name: String
            var versions: [Version]
            var preferredVersion: Version?
        }
        var groups: [Group]
    }
    private struct ResourcesWire: Decodable {
        struct Resource: Decodable {
            var name: String
            var kind: String
            var namespaced: Bool
        }
        var resources: [Resource]
    }

    private static func fetchGroups(
        isCore: Bool, _ client: KubernetesClient
    ) async -> Result<Groups, KubernetesError> {
        let path = isCore ? "/api" : "/apis"
        let call = KubernetesCall(verb: "get", group: "", resource: path)
        do throws(KubernetesError) {
            let data = try await client.read(path, call: call)
            if isCore {
                return .success(["": try decode(VersionsWire.self, data, call).versions])
            }
            var result: Groups = [:]
            for group in try decode(GroupsWire.self, data, call).groups {
                let preferred = group.preferredVersion?.version
                let versions = group.versions.map(\.version)
                result[group.name] = versions.filter { $0 == preferred } + versions.filter { $0 != preferred }
            }
            return .success(result)
        } catch {
            return .failure(error)
        }
    }

    private static func fetchKinds(
        _ groupVersion: GroupVersion, _ client: KubernetesClient
    ) async -> Result<Kinds, KubernetesError> {
        let call = KubernetesCall(verb: "get", group: groupVersion.group, resource: groupVersion.path)
        do throws(KubernetesError) {
            let data = try await client.read(groupVersion.path, call: call)
            var result: Kinds = [:]
            for resource in try decode(ResourcesWire.self, data, call).resources
            where !resource.name.contains("/") && result[resource.kind] == nil {
                result[resource.kind] = APIResource(
                    group: groupVersion.group, version: groupVersion.version, kind: resource.kind,
                    plural: resource.name, isNamespaced: resource.namespaced)
            }
            return .success(result)
        } catch {
            // The version went away since the groups were listed.
            if error.statusCode == 404 { return .success([:]) }
            return .failure(error)
        }
    }

    private static func decode<Wire: Decodable>(
        _ type: Wire.Type, _ data: Data, _ call: KubernetesCall
    ) throws(KubernetesError) -> Wire {
        do {
            return try JSONDecoder().decode(type, from: data)
        } catch {
            throw KubernetesError(call: call, cause: .unreadableAnswer("not a discovery document"))
        }
    }
}
