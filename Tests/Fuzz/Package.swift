// swift-tools-version: 6.3
import PackageDescription

// The fuzz targets: a package of its own, so that its instrumentation reaches nothing else. The rooms under test are links to
// their sources, compiled here once more with the fuzzer's coverage and the address sanitizer.
//
// A new target is a folder with one Swift file, `seeds` and `dictionary` (see Head), and one line in `targets` below; if it
// tests another room, also a link to that room in Rooms/ and its entry here. run.sh finds it by itself. A target with a file
// `variants` is run once for each of its lines, which FUZZ_VARIANT names.

let rules: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .unsafeFlags(["-sanitize=fuzzer,address"]),
]

/// A room of the root package.
func room(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(
        name: name, dependencies: dependencies, path: "Rooms/\(name)", swiftSettings: rules + [.strictMemorySafety()])
}

/// A C or C++ shim of the root package, with the libraries that it needs.
func shim(_ name: String, _ libraries: [String]) -> Target {
    .target(
        name: name, path: "Rooms/\(name)",
        cSettings: [.unsafeFlags(["-fsanitize=fuzzer-no-link,address"])],
        cxxSettings: [.unsafeFlags(["-fsanitize=fuzzer-no-link,address"])],
        linkerSettings: libraries.map { .linkedLibrary($0) })
}

/// A fuzz target in the folder of its name; the product is `Fuzz` and the name.
func fuzz(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(
        name: "Fuzz\(name)", dependencies: dependencies + ["FuzzDriver"], path: name,
        exclude: ["seeds", "dictionary"] + (name == "Decoder" ? ["variants"] : []),
        swiftSettings: rules,
        linkerSettings: [.unsafeFlags(["-sanitize=fuzzer,address", "-use-ld=lld"])])
}

let package = Package(
    name: "grapnel",
    dependencies: [.package(url: "https://github.com/jpsim/Yams", from: "6.2.2")],
    targets: [
        .target(name: "CFuzzer", path: "CFuzzer"),
        .target(name: "FuzzDriver", dependencies: ["CFuzzer"], path: "Driver", swiftSettings: rules),
        room("HTTP"),
        shim("CCrypto", ["crypto", "IPSec_MB", "z"]),
        shim("CJSON", ["simdjson"]),
        room("CEL"),
        room("Delivery", ["HTTP", "CCrypto", "CJSON", "CEL", .product(name: "Yams", package: "Yams")]),
        fuzz("Head", ["HTTP"]),
        fuzz("Chunked", ["HTTP"]),
        fuzz("Event", ["Delivery"]),
        fuzz("Expression", ["CEL"]),
        fuzz("Image", ["Delivery"]),
        fuzz("Decoder", ["Delivery"]),
    ],
    cxxLanguageStandard: .cxx17
)
