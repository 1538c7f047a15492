"""What a release says about its owner: publisher, contact, licence, intended use; all of it public and none of it guessed."""

from pydantic import Field

from synth_pipeline.spec.section import Section


class Publication(Section):
    """Who publishes a dataset's releases, for what and on which terms; what is not stated is left out of every card."""

    publisher: str | None = Field(default=None, description="Name of the organisation that publishes the releases.")
    contact: str | None = Field(
        default=None, description="Where questions and reports of faults go: an e-mail address or a web page."
    )
    license: str | None = Field(
        default=None,
        pattern=r"^https?://\S+$",
        description="Web address of the licence of the synthetic table, such as https://creativecommons.org/licenses/by/4.0/.",
    )
    url: str | None = Field(
        default=None, pattern=r"^https?://\S+$", description="Web page at which the releases are described."
    )
    intended_use: str | None = Field(
        default=None, description="What the synthetic table is meant for, in the owner's words."
    )
    region: str | None = Field(default=None, description="Region whose people the table is about.")
    sector: str | None = Field(default=None, description="Sector of the publisher, such as Health or Government.")
