// ManifestCatalog: the manifest directories as a catalog: read, keep what is good, compile.
//
// `load` may be called from any thread, as often as something changed; it re-reads only files that changed. A resource whose
// document cannot be read any more keeps its last good version:
//
//     the document is wrong, but tells kind, namespace and name    that resource stays
//     the document cannot be understood, or the file not be read   what that file held and is found nowhere now stays
//     a directory cannot be listed or is gone                      what lies below it stays
//     the file is gone from a directory that can be listed         its resources are gone

import CLinuxIO
import Delivery
import Synchronization

public final class ManifestCatalog: Sendable {
    public let options: CatalogOptions
    private let state = Mutex(State())
    /// Beside `state`, so that whoever asks does not wait for a load that is under way.
    private let published = Mutex(CatalogSnapshot())
    private let filters = FilterCache()

    /// Where a resource stands: gives the order of everything. An older version that is kept keeps its old line.
    private struct Position: Comparable {
        let directory: Int
        let path: String
        let line: Int
        let index: Int

        static func < (a: Position, b: Position) -> Bool {
            if a.directory != b.directory { return a.directory < b.directory }
            if a.path != b.path { return a.path.utf8.lexicographicallyPrecedes(b.path.utf8) }
            return (a.line, a.index) < (b.line, b.index)
        }
    }

    private struct Held {
        let position: Position
        let resource: PlacedResource
    }

    private struct CachedFile {
        let stamp: FileStamp
        /// Whether the file was left alone long enough before it was read for its stamp to be trusted: two writes within one
        /// tick of the kernel's clock have the same time.
        let isSettled: Bool
        let file: ManifestFile
    }

    private struct State {
        var files: [String: CachedFile] = [:]
        var held: [ResourceKey: Held] = [:]
    }

    private static let settledNanoseconds: Int64 = 2_000_000_000

    public init(options: CatalogOptions) {
        self.options = options
    }

    /// What `load` gave last; empty before.
    public var snapshot: CatalogSnapshot { published.withLock { $0 } }

    /// Reads what changed and compiles everything anew.
    @discardableResult
    public func load() -> CatalogSnapshot {
        state.withLock { state in
            let snapshot = CatalogSnapshot.compile([read(&state)], options: options, filters: filters)
            published.withLock { $0 = snapshot }
            return snapshot
        }
    }

    /// Reads what changed, for a catalog that has other sources beside the files.
    public func read() -> CatalogContribution { state.withLock { read(&$0) } }

    private func read(_ state: inout State) -> CatalogContribution {
        let scan = ManifestScan(directories: options.directories)
        var counts = CatalogCounts()
        var problems: [(position: Position, problem: CatalogProblem)] = []
        var fresh: [ResourceKey: Held] = [:]
        // What may have held resources that cannot be seen now.
        var lostFiles: Set<String> = []
        var lostPaths: [String] = []
        var wrongKeys: Set<ResourceKey> = []
        var wrong: [(position: Position, place: SourcePlace, problem: ManifestFileProblem)] = []
        var files: [String: CachedFile] = [:]
        files.reserveCapacity(scan.entries.count)

        for entry in scan.entries {
            let file: ManifestFile
            switch entry.content {
            case .unreadable(let message):
                lostPaths.append(entry.path)
                file = ManifestFile(unreadable: message)
            case .file(let stamp):
                let cached = Self.read(entry.path, stamp, state.files[entry.path])
                files[entry.path] = cached
                file = cached.file
                counts.files += 1
            }
            counts.documents += file.documents
            counts.targets += file.targets
            counts.ignored += file.ignored
            if file.hasUnidentified { lostFiles.insert(entry.path) }
            for (index, resource) in file.resources.enumerated() {
                let position = Position(
                    directory: entry.directory, path: entry.path, line: resource.line, index: index)
                let placed = PlacedResource(resource: resource, file: entry.path)
                if let first = fresh[resource.key]?.resource {
                    let message =
                        "\(resource.key) is already defined at \(first.place(first.resource.line)), which counts; "
                        + "remove one of them"
                    problems.append(
                        (position, problem(placed.place(resource.line), .error, message)))
                } else {
                    fresh[resource.key] = Held(position: position, resource: placed)
                }
            }
            for found in file.problems {
                let position = Position(directory: entry.directory, path: entry.path, line: found.line, index: 0)
                wrong.append((position, SourcePlace(file: entry.path, line: found.line), found))
                if found.severity == .error, let key = found.key { wrongKeys.insert(key) }
            }
        }

        let stale = state.held.filter { key, held in
            fresh[key] == nil
                && (wrongKeys.contains(key) || lostFiles.contains(held.resource.file)
                    || lostPaths.contains { held.resource.file.hasPrefix($0 + "/") || held.resource.file == $0 })
        }
        for (key, held) in stale { fresh[key] = held }
        counts.stale = stale.count
        for found in wrong {
            var message = found.problem.message
            if let key = found.problem.key {
                message = "\(key): \(message)"
                if found.problem.severity == .error, stale[key] != nil {
                    message += "; the last good version stays in use"
                }
            } else if found.problem.severity == .error {
                let kept = stale.keys.filter { stale[$0]?.resource.file == found.place.file && !wrongKeys.contains($0) }
                if !kept.isEmpty { message += "; \(Self.kept(kept))" }
            }
            problems.append((found.position, problem(found.place, found.problem.severity, message)))
        }

        state.files = files
        state.held = fresh
        return Self.contribution(fresh, problems, counts)
    }

    private static func contribution(
        _ held: [ResourceKey: Held], _ found: [(position: Position, problem: CatalogProblem)], _ counts: CatalogCounts
    ) -> CatalogContribution {
        var contribution = CatalogContribution()
        contribution.counts = counts
        contribution.resources = held.sorted { a, b in
            // A kept version and a new resource can have one line.
            a.value.position < b.value.position || !(b.value.position < a.value.position) && a.key < b.key
        }.map(\.value.resource)
        for placed in contribution.resources { contribution.count(placed.resource) }
        // Files in the order in which they were read, then lines; the sort must not depend on a dictionary's order.
        let paths = found.map { ($0.position, $0.problem.file) } + held.values.map { ($0.position, $0.resource.file) }
        for (index, path) in paths.sorted(by: { $0.0 < $1.0 }).enumerated() where contribution.rank[path.1] == nil {
            contribution.rank[path.1] = index
        }
        contribution.problems = found.map(\.problem)
        return contribution
    }

    private func problem(
        _ place: SourcePlace, _ severity: CatalogProblem.Severity, _ message: String
    ) -> CatalogProblem {
        CatalogProblem(place: place, severity: severity, scope: .document, message: message)
    }

    private static func kept(_ keys: [ResourceKey]) -> String {
        let names = keys.sorted().prefix(3).map(\.description).joined(separator: ", ")
        let more = keys.count > 3 ? " and \(keys.count - 3) more" : ""
        return "the last good version of \(names)\(more) stays in use"
    }

    private static func read(_ path: String, _ stamp: FileStamp, _ cached: CachedFile?) -> CachedFile {
        if let cached, cached.isSettled, cached.stamp == stamp { return cached }
        let isSettled =
            Int64(cl_now_realtime()) - max(stamp.modifiedNanoseconds, stamp.changedNanoseconds)
            > settledNanoseconds
        let file =
            switch ManifestScan.read(path) {
            case .success(let bytes): ManifestFile(bytes: bytes)
            case .failure(let failure): ManifestFile(unreadable: failure.message)
            }
        return CachedFile(stamp: stamp, isSettled: isSettled, file: file)
    }
}
