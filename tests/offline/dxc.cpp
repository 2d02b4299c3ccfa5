// Compiles HLSL files to DXIL, which DXC then validates:
//
//     dxc libdxcompiler.so PROFILE < list of files
//
// For each file a line on stdout: its name, a tab, and nothing or the first error. Built against the headers beside the library:
//     c++ -O1 -std=c++17 -fms-extensions -w -I HEADERS dxc.cpp -o dxc -ldl

#include <dlfcn.h>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

#include "WinAdapter.h"
#include "dxcapi.h"

static std::string first_error(IDxcCompiler3 *compiler, const std::string &text, LPCWSTR profile) {
    DxcBuffer buffer{text.data(), text.size(), DXC_CP_UTF8};
    // Those of wgpu.
    LPCWSTR arguments[] = {L"-E", L"main", L"-T", profile, L"-HV", L"2018", L"-no-warnings"};
    CComPtr<IDxcResult> result;
    HRESULT status = E_FAIL;
    if (FAILED(compiler->Compile(&buffer, arguments, sizeof arguments / sizeof *arguments, nullptr, __uuidof(IDxcResult), (void **)&result)) ||
        FAILED(result->GetStatus(&status))) {
        return "the compiler gave up";
    }
    CComPtr<IDxcBlob> object;
    if (SUCCEEDED(status)) {
        result->GetOutput(DXC_OUT_OBJECT, __uuidof(IDxcBlob), (void **)&object, nullptr);
        return object && object->GetBufferSize() > 0 ? "" : "no error, and no output";
    }
    CComPtr<IDxcBlobUtf8> errors;
    result->GetOutput(DXC_OUT_ERRORS, __uuidof(IDxcBlobUtf8), (void **)&errors, nullptr);
    std::string said = errors ? std::string(errors->GetStringPointer(), errors->GetStringLength()) : "";
    size_t at = said.find("error");
    said = at == std::string::npos ? "no reason given: " + said : said.substr(at);
    return said.substr(0, said.find('\n'));
}

int main(int, char **argv) {
    void *library = dlopen(argv[1], RTLD_NOW);
    auto create = library ? (DxcCreateInstanceProc)dlsym(library, "DxcCreateInstance") : nullptr;
    CComPtr<IDxcCompiler3> compiler;
    if (!create || FAILED(create(CLSID_DxcCompiler, __uuidof(IDxcCompiler3), (void **)&compiler))) {
        std::fprintf(stderr, "dxc: %s\n", library ? "the library has no compiler" : dlerror());
        return 1;
    }
    std::string narrow = argv[2];
    std::wstring profile(narrow.begin(), narrow.end());
    for (std::string file; std::getline(std::cin, file);) {
        std::ifstream stream(file);
        std::string text{std::istreambuf_iterator<char>(stream), {}};
        std::string error = text.empty() ? "the file is empty" : first_error(compiler, text, profile.c_str());
        std::cout << file << '\t' << error << std::endl;
    }
    // The library's own destructors may crash.
    std::cout.flush();
    _Exit(0);
}
